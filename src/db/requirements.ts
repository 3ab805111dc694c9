/** What the application needs of its databases, said before the first request fails for the lack of it. */
import type mariadb from "mariadb";
import type { Connection } from "mongoose";

/** A database cannot be used; the message says what to do. */
export class DatabaseUnusable extends Error {
  override readonly name = "DatabaseUnusable";
}

/** Longest time that a killed process may keep its locks in MongoDB before that is worth a warning, in seconds. */
const LONGEST_LOCKS = 10;

/**
 * Why a MySQL of this version is not enough, or undefined when it is.
 * @param version as `SELECT VERSION()` gives it
 * @example mysqlProblem("10.11.6-MariaDB") // "is MariaDB; …"
 */
export function mysqlProblem(version: string): string | undefined {
  if (/mariadb/i.test(version)) return `is MariaDB (${version}); the application needs MySQL 8.4 or newer`;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 8 || (major === 8 && minor >= 4)) return undefined;
  return `is version ${version}; the application needs MySQL 8.4 or newer`;
}

/**
 * Why a MongoDB is not enough, or undefined when it is.
 * @param hello its answer to `hello`: a member of a replica set has a `setName`, a router of shards says "isdbgrid"
 * @param version as `buildInfo` gives it
 */
export function mongoProblem(hello: { setName?: string; msg?: string }, version: string): string | undefined {
  if (Number.parseInt(version, 10) < 7)
    return `is version ${version}; the application needs MongoDB 7 or newer`;
  if (hello.setName === undefined && hello.msg !== "isdbgrid")
    return "is no member of a replica set, which transactions need: start mongod with --replSet rs0 and run rs.initiate() once";
  return undefined;
}

/**
 * What is worth changing about how long MongoDB lets transactions live, or undefined. There a process that is killed in
 * a transaction keeps its locks until this time is over, and who wants the same documents is refused.
 * @param seconds `transactionLifetimeLimitSeconds`; undefined where this user may not read it
 */
export const lifetimeAdvice = (seconds: number | undefined): string | undefined =>
  seconds === undefined || seconds <= LONGEST_LOCKS
    ? undefined
    : `MongoDB keeps the locks of a killed process for ${seconds} s. Set transactionLifetimeLimitSeconds to 5, which no ` +
      "transaction here reaches: db.adminCommand({ setParameter: 1, transactionLifetimeLimitSeconds: 5 }) until its next start, " +
      "and mongod --setParameter transactionLifetimeLimitSeconds=5 from then on.";

/** MySQL's number for a statement that this user may not make on a table. */
const TABLE_DENIED = 1142;
/** The same of a whole database. */
const DATABASE_DENIED = 1044;

/** Whether MySQL refuses something for the lack of a right; whatever else fails says nothing about rights. */
const isDenied = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    ({ errno }: { errno?: number }) => errno === TABLE_DENIED || errno === DATABASE_DENIED,
  );

/**
 * @param granted what the statement grants
 * @throws DatabaseUnusable when a right lacks, with the statement
 */
async function demandRights(
  connection: mariadb.Connection,
  lacking: string[],
  why: string,
  granted = lacking.join(", "),
): Promise<void> {
  if (lacking.length === 0) return;
  const [row] = await connection.query<{ account: string; name: string }[]>(
    "SELECT CURRENT_USER() AS account, DATABASE() AS name",
  );
  const { account = "", name = "" } = row ?? {};
  const [user, host] = [
    account.slice(0, account.lastIndexOf("@")),
    account.slice(account.lastIndexOf("@") + 1),
  ];
  throw new DatabaseUnusable(
    `The MySQL user '${user}'@'${host}' lacks ${lacking.join(", ")} on database "${name}", which ${why}. As an administrator of MySQL: ` +
      `GRANT ${granted} ON ${connection.escapeId(name)}.* TO '${user}'@'${host}';`,
  );
}

/** Whether a statement may not be made. It is prepared and not run: MySQL looks at rights before it looks at rows. */
const mayNot = (connection: mariadb.Connection, sql: string): Promise<boolean> =>
  isDenied(connection.prepare(sql).then((statement) => statement.close()));

/** What is done to rows: the right, and a statement that needs it and nothing else. */
const rowStatements = (table: string): [string, string][] => [
  ["SELECT", `SELECT 1 FROM ${table}`],
  ["INSERT", `INSERT INTO ${table} () VALUES ()`],
  ["UPDATE", `UPDATE ${table} SET id = NULL`],
  ["DELETE", `DELETE FROM ${table}`],
];

/** The rights on rows that the user lacks on a table; none where there is no such table. */
async function lackingRowRights(connection: mariadb.Connection, table: string): Promise<string[]> {
  const lacking: string[] = [];
  for (const [right, sql] of rowStatements(table)) if (await mayNot(connection, sql)) lacking.push(right);
  return lacking;
}

/**
 * Whether the user may read and write rows, on the example of the table `users`. The server is asked, and not its list
 * of grants: roles, wildcards and revoked parts make of that what only the server knows.
 * @throws DatabaseUnusable when a right lacks, with the statement that grants it
 */
export const checkRowRights = async (connection: mariadb.Connection): Promise<void> =>
  demandRights(connection, await lackingRowRights(connection, "users"), "the server needs");

/**
 * Whether the user may make, change and drop tables, tried with one that is dropped again. To be called where nobody
 * else looks at the tables (`withDeployLock`).
 * @throws DatabaseUnusable when a right lacks, with the statement that grants it
 */
export async function checkTableRights(connection: mariadb.Connection): Promise<void> {
  const table = "_aizy_rights";
  const lacking: string[] = [];
  const needs = async (right: string, sql: string): Promise<boolean> => {
    const denied = await isDenied(connection.query(sql));
    if (denied) lacking.push(right);
    return !denied;
  };
  // First, so that none is made that cannot be dropped.
  const mayDrop = await needs("DROP", `DROP TABLE IF EXISTS ${table}`);
  if (mayDrop && (await needs("CREATE", `CREATE TABLE ${table} (id INT PRIMARY KEY, other INT)`))) {
    await needs("INDEX", `CREATE INDEX other ON ${table} (other)`);
    // ALTER needs CREATE and INSERT too, and REFERENCES is looked at only where it is there.
    const mayAlter = await needs("ALTER", `ALTER TABLE ${table} ADD COLUMN more INT`);
    if (mayAlter)
      await needs("REFERENCES", `ALTER TABLE ${table} ADD FOREIGN KEY (other) REFERENCES ${table} (id)`);
    lacking.push(...(await lackingRowRights(connection, table)));
    await connection.query(`DROP TABLE ${table}`);
  }
  // All of them: what was not tried for the lack of another may lack too.
  await demandRights(connection, lacking, "migrations need", "ALL PRIVILEGES");
}

/** What the server does in MongoDB's collections, and what migrations do beside it. */
const DOCUMENT_ACTIONS = ["find", "insert", "update", "remove"];
const COLLECTION_ACTIONS = ["createCollection", "createIndex", "dropIndex", "listCollections", "listIndexes"];

/** What MongoDB answers to `connectionStatus` with `showPrivileges`, as far as it is looked at. */
export interface ConnectionStatus {
  authInfo?: {
    authenticatedUsers?: { user: string; db: string }[];
    authenticatedUserPrivileges?: {
      resource: { db?: string; collection?: string; anyResource?: boolean };
      actions: string[];
    }[];
  };
}

/**
 * Which actions a user of MongoDB lacks on a database. One that is given for single collections alone counts as had:
 * whether they are all that are needed is not known here.
 * @returns none too where the server has no access control, or does not say
 */
export function lackingActions({ authInfo }: ConnectionStatus, database: string, needed: string[]): string[] {
  const privileges = authInfo?.authenticatedUserPrivileges;
  if (!authInfo?.authenticatedUsers?.length || privileges === undefined) return [];
  const had = new Set(
    privileges
      .filter(({ resource: { db, anyResource } }) => anyResource || db === "" || db === database)
      .flatMap(({ actions }) => actions),
  );
  return had.has("anyAction") ? [] : needed.filter((action) => !had.has(action));
}

/** MongoDB's number for a command that this user may not send. */
const UNAUTHORIZED = 13;

/** How a user of MongoDB gets a role, for mongosh. */
const grant = (status: ConnectionStatus, role: string, of: string): string => {
  const { user, db } = status.authInfo?.authenticatedUsers?.[0] ?? { user: "USER", db: "DATABASE" };
  return `db.getSiblingDB(${JSON.stringify(db)}).grantRolesToUser(${JSON.stringify(user)}, [{ role: "${role}", db: ${JSON.stringify(of)} }])`;
};

/** What is said of a limit that the user may not read: otherwise nobody would ever hear of it. */
const unreadable = (status: ConnectionStatus): string =>
  "The user of MONGODB_URI may not read transactionLifetimeLimitSeconds, so nobody knows how long MongoDB keeps the locks " +
  "of a killed process (60 s unless set to 5). As an administrator of MongoDB: " +
  'db.getSiblingDB("admin").createRole({ role: "readParameters", privileges: [{ resource: { cluster: true }, ' +
  `actions: ["getParameter"] }], roles: [] }); ${grant(status, "readParameters", "admin")}`;

/** What a MongoDB says of itself and of who asks. */
export interface MongoFacts {
  hello: { setName?: string; msg?: string };
  version: string;
  status: ConnectionStatus;
  /** `transactionLifetimeLimitSeconds`; undefined where the server does not know it. */
  limit: number | "unreadable" | undefined;
}

/** What a MongoDB is to be used for. */
export interface MongoUse {
  /** Whether collections and indexes are to be made too. */
  migrates?: boolean;
  /**
   * Whether a server that keeps the locks of a killed process for long is refused, and not only advised against: it runs
   * rightly, so a shop that is open does not end for it, but a deployment may.
   */
  shortLocks?: boolean;
}

/**
 * What can be better about a MongoDB, if anything.
 * @throws DatabaseUnusable when it cannot be used, with what to do
 */
export function judgeMongo(
  { hello, version, status, limit }: MongoFacts,
  database: string,
  { migrates = false, shortLocks = false }: MongoUse = {},
): string | undefined {
  const problem = mongoProblem(hello, version);
  if (problem !== undefined) throw new DatabaseUnusable(`The server of MONGODB_URI ${problem}.`);
  const needed = migrates ? [...DOCUMENT_ACTIONS, ...COLLECTION_ACTIONS] : DOCUMENT_ACTIONS;
  const lacking = lackingActions(status, database, needed);
  if (lacking.length > 0)
    throw new DatabaseUnusable(
      `The user of MONGODB_URI lacks ${lacking.join(", ")} on database "${database}", which ` +
        `${migrates ? "migrations need" : "the server needs"}. As an administrator of MongoDB: ${grant(status, "readWrite", database)}`,
    );
  if (limit === "unreadable") return unreadable(status);
  const advice = lifetimeAdvice(limit);
  if (shortLocks && advice !== undefined) throw new DatabaseUnusable(advice);
  return advice;
}

/**
 * Looks at the MongoDB behind an open connection.
 * @returns advice, where something can be better
 * @throws DatabaseUnusable when it cannot be used
 */
export async function checkMongo(connection: Connection, use?: MongoUse): Promise<string | undefined> {
  const admin = connection.getClient().db("admin");
  const [hello, { version }, status, limit] = await Promise.all([
    admin.command({ hello: 1 }),
    admin.command({ buildInfo: 1 }),
    // Servers that only speak MongoDB's protocol may know neither of these.
    admin.command({ connectionStatus: 1, showPrivileges: true }).catch((): ConnectionStatus => ({})),
    admin.command({ getParameter: 1, transactionLifetimeLimitSeconds: 1 }).then(
      ({ transactionLifetimeLimitSeconds }): MongoFacts["limit"] => transactionLifetimeLimitSeconds,
      ({ code }: { code?: number }) => (code === UNAUTHORIZED ? "unreadable" : undefined),
    ),
  ]);
  return judgeMongo({ hello, version, status, limit }, connection.name, use);
}

import { afterAll, describe, expect, test } from "bun:test";
import type mariadb from "mariadb";
import { startProgram } from "../../test/processes";
import { connectMongo } from "./mongo";
import { checkMySql, withConnection } from "./prisma";
import {
  type ConnectionStatus,
  checkMongo,
  checkRowRights,
  checkTableRights,
  DatabaseUnusable,
  judgeMongo,
  lackingActions,
  lifetimeAdvice,
  type MongoFacts,
  mongoProblem,
  mysqlProblem,
} from "./requirements";

test.each(["8.4.0", "8.4.7-0ubuntu0.24.04.1", "9.0.1", "10.1.0"])("MySQL %s is enough", (version) => {
  expect(mysqlProblem(version)).toBeUndefined();
});

test.each([
  ["5.7.44", "8.4 or newer"],
  ["8.0.39", "8.4 or newer"],
  ["10.11.6-MariaDB-0+deb12u1", "is MariaDB"],
  ["5.5.5-10.4.34-MariaDB", "is MariaDB"],
])("MySQL %s is refused", (version, why) => {
  expect(mysqlProblem(version)).toContain(why);
});

test("MongoDB: version 7 or newer, as a replica set or behind a router", () => {
  expect(mongoProblem({ setName: "rs0" }, "7.0.0")).toBeUndefined();
  expect(mongoProblem({ setName: "rs0" }, "8.0.4")).toBeUndefined();
  expect(mongoProblem({ setName: "rs0" }, "10.0.0")).toBeUndefined();
  expect(mongoProblem({ msg: "isdbgrid" }, "8.0.4")).toBeUndefined();
  expect(mongoProblem({}, "8.0.4")).toContain("rs.initiate()");
  expect(mongoProblem({ setName: "rs0" }, "6.0.20")).toContain("MongoDB 7 or newer");
});

test("a long life of transactions is warned of, where it can be read", () => {
  expect(lifetimeAdvice(60)).toContain("60 s");
  expect(lifetimeAdvice(5)).toBeUndefined();
  expect(lifetimeAdvice(undefined)).toBeUndefined();
});

test("the databases of these tests are enough", async () => {
  await checkMySql(process.env.DATABASE_URL ?? "");
  const mongo = connectMongo(process.env.MONGODB_URI ?? "", 2);
  try {
    await mongo.connection.asPromise();
    await checkMongo(mongo.connection);
  } finally {
    await mongo.close();
  }
});

describe("rights in MySQL", () => {
  const databaseUrl = process.env.DATABASE_URL ?? "";
  const database = new URL(databaseUrl).pathname.slice(1);
  const name = `aizy_r${process.pid}`;
  const url = (() => {
    const changed = new URL(databaseUrl);
    changed.username = name;
    changed.password = "abc123";
    changed.searchParams.set("allowPublicKeyRetrieval", "true");
    return changed.href;
  })();
  const root = (...statements: string[]) =>
    withConnection(databaseUrl, async (connection) => {
      for (const statement of statements) await connection.query(statement);
    });
  const dropped = [`DROP USER IF EXISTS '${name}'@'%'`, `DROP ROLE IF EXISTS ${name}_role`];
  /** What is refused to a user with these grants. */
  const refused = async (check: (connection: mariadb.Connection) => Promise<void>, grants: string[]) => {
    await root(...dropped, `CREATE USER '${name}'@'%' IDENTIFIED BY 'abc123'`, ...grants);
    return withConnection(url, check).then(
      () => "nothing",
      (error) => {
        expect(error).toBeInstanceOf(DatabaseUnusable);
        return (error as Error).message;
      },
    );
  };
  const to = `TO '${name}'@'%'`;
  const rows = "SELECT, INSERT, UPDATE, DELETE";
  const wildcard = `\`${database.replaceAll("_", "\\_").slice(0, -1)}_\``;
  afterAll(() => root(...dropped));

  test.each([
    ["as deploy/mysql-users.sh gives them", [`GRANT ${rows} ON \`${database}\`.* ${to}`]],
    ["all of them", [`GRANT ALL PRIVILEGES ON \`${database}\`.* ${to}`]],
    ["everywhere", [`GRANT ${rows} ON *.* ${to}`]],
    ["by a wildcard", [`GRANT ${rows} ON ${wildcard}.* ${to}`]],
    [
      "on tables",
      [`GRANT SELECT ON \`${database}\`.* ${to}`, `GRANT ${rows} ON \`${database}\`.users ${to}`],
    ],
    [
      "by a role",
      [
        `CREATE ROLE ${name}_role`,
        `GRANT ${rows} ON \`${database}\`.* TO ${name}_role`,
        `GRANT ${name}_role ${to}`,
        `SET DEFAULT ROLE ${name}_role ${to}`,
      ],
    ],
  ])("on rows, %s, are enough for the server", async (_, grants) => {
    expect(await refused(checkRowRights, grants)).toBe("nothing");
  });

  test("those that the server lacks are named, with what grants them", async () => {
    expect(await refused(checkRowRights, [`GRANT SELECT, UPDATE ON \`${database}\`.* ${to}`])).toBe(
      `The MySQL user '${name}'@'%' lacks INSERT, DELETE on database "${database}", which the server needs. ` +
        `As an administrator of MySQL: GRANT INSERT, DELETE ON \`${database}\`.* ${to};`,
    );
  });

  test("migrations need to make, change and drop tables", async () => {
    expect(await refused(checkTableRights, [`GRANT ALL PRIVILEGES ON \`${database}\`.* ${to}`])).toBe(
      "nothing",
    );
    const most = `${rows}, CREATE, DROP, INDEX, ALTER, REFERENCES`;
    expect(await refused(checkTableRights, [`GRANT ${most} ON \`${database}\`.* ${to}`])).toBe("nothing");
    for (const right of ["CREATE", "DROP", "INDEX", "ALTER", "REFERENCES", "DELETE"]) {
      const others = most.split(", ").filter((other) => other !== right);
      expect([
        right,
        await refused(checkTableRights, [`GRANT ${others.join(", ")} ON \`${database}\`.* ${to}`]),
      ]).toEqual([
        right,
        expect.stringContaining(` lacks ${right} on database "${database}", which migrations need.`),
      ]);
    }
    const left = await withConnection(databaseUrl, (connection) =>
      connection.query("SHOW TABLES LIKE '%aizy_rights%'"),
    );
    expect(left).toHaveLength(0);
  });

  test("a server and a migration with too few say so and end", async () => {
    const grant = `GRANT SELECT ON \`${database}\`.* ${to}`;
    await refused(checkRowRights, [grant]);
    const env = { DATABASE_URL: url, PORT: "0" };
    for (const [program, why] of [
      ["src/index.ts", `lacks INSERT, UPDATE, DELETE on database "${database}", which the server needs`],
      ["src/db/migrate.ts", `lacks DROP on database "${database}", which migrations need`],
    ] as const) {
      const started = startProgram([program], env);
      expect([await started.ended(), started.output()]).toEqual([1, expect.stringContaining(why)]);
    }
  }, 60_000);
});

describe("rights in MongoDB", () => {
  const needed = ["find", "insert", "createIndex"];
  const status = (...privileges: [Record<string, unknown>, string[]][]): ConnectionStatus => ({
    authInfo: {
      authenticatedUsers: [{ user: "aizy", db: "aizy" }],
      authenticatedUserPrivileges: privileges.map(([resource, actions]) => ({ resource, actions })),
    },
  });

  test.each<[string, ConnectionStatus]>([
    ["a role on the database, as readWrite", status([{ db: "aizy", collection: "" }, [...needed, "remove"]])],
    ["one on every database, as readWriteAnyDatabase", status([{ db: "", collection: "" }, needed])],
    ["root", status([{ anyResource: true }, ["anyAction"]])],
    [
      "several, and some of single collections",
      status([{ db: "aizy", collection: "" }, ["find"]], [{ db: "aizy", collection: "products" }, needed]),
    ],
    [
      "a server without access control",
      { authInfo: { authenticatedUsers: [], authenticatedUserPrivileges: [] } },
    ],
    ["one that names no privileges", { authInfo: { authenticatedUsers: [{ user: "a", db: "b" }] } }],
    ["one that does not know the command", {}],
  ])("%s: enough", (_, given) => {
    expect(lackingActions(given, "aizy", needed)).toEqual([]);
  });

  test.each<[string, ConnectionStatus, string[]]>([
    ["read", status([{ db: "aizy", collection: "" }, ["find"]]), ["insert", "createIndex"]],
    ["readWrite on another database", status([{ db: "shop", collection: "" }, needed]), needed],
    ["rights on the cluster alone", status([{ cluster: true }, ["find", "insert", "getParameter"]]), needed],
    ["none", status(), needed],
  ])("%s: what lacks is named", (_, given, lacking) => {
    expect(lackingActions(given, "aizy", needed)).toEqual(lacking);
  });

  const facts: MongoFacts = {
    hello: { setName: "rs0" },
    version: "8.0.4",
    status: status([{ db: "aizy", collection: "" }, ["find", "insert", "update", "remove"]]),
    limit: 5,
  };

  test("what lacks is said with what grants it; migrations need more than the server", () => {
    expect(judgeMongo(facts, "aizy")).toBeUndefined();
    expect(() => judgeMongo(facts, "aizy", { migrates: true })).toThrow(
      'The user of MONGODB_URI lacks createCollection, createIndex, dropIndex, listCollections, listIndexes on database "aizy", ' +
        "which migrations need. As an administrator of MongoDB: " +
        'db.getSiblingDB("aizy").grantRolesToUser("aizy", [{ role: "readWrite", db: "aizy" }])',
    );
  });

  test("a limit of transactions that is long is advice, and refused where it is demanded", () => {
    const long = { ...facts, limit: 60 };
    expect(judgeMongo(long, "aizy")).toContain("transactionLifetimeLimitSeconds: 5");
    expect(() => judgeMongo(long, "aizy", { shortLocks: true })).toThrow(DatabaseUnusable);
    expect(judgeMongo(facts, "aizy", { shortLocks: true })).toBeUndefined();
  });

  test("one that may not be read is said, with what lets the user read it; one that is not known is not", () => {
    const advice = judgeMongo({ ...facts, limit: "unreadable" }, "aizy", { shortLocks: true });
    expect(advice).toContain('createRole({ role: "readParameters"');
    expect(advice).toContain('grantRolesToUser("aizy", [{ role: "readParameters", db: "admin" }])');
    expect(
      judgeMongo({ ...facts, status: {}, limit: undefined }, "aizy", { shortLocks: true }),
    ).toBeUndefined();
  });
});

import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import mariadb from "mariadb";
import { Prisma, PrismaClient } from "../generated/prisma/client";
import { AppError } from "../lib/errors";
import { jitter } from "../lib/random";
import { within } from "../lib/within";
import { type Asked, createPulse, type Look, PING_LIMIT, type Pulse } from "./pulse";
import { DatabaseUnusable, mysqlProblem } from "./requirements";
import { isUnavailable } from "./unavailable";

/** How many connections to a database are in use, and how many requests wait for one. */
export type PoolState = Record<"used" | "waiting", number>;

/** Who asks a database. */
export interface Caller {
  /**
   * A command: it waits for an answer as long as the server works on it, such as on an index of a large collection. A
   * server is not: whoever asks it is told soon that the database does not answer.
   */
  patient?: boolean;
}

declare const mysqlTx: unique symbol;
/** A transaction of MySQL, handed from a service to stores; only this module looks inside. */
export interface MySqlTx {
  readonly [mysqlTx]: true;
}

/** MySQL as services and stores see it. */
export interface MySql {
  /** For stores: Prisma, inside the transaction when one is given. */
  on(tx?: MySqlTx): Prisma.TransactionClient;
  /**
   * Runs `work` in one transaction and retries it when MySQL chose it as a deadlock's victim or a lock
   * took too long (1213, 1205). `work` may run again: make ids and times before it, and no side effect in it.
   * @throws AppError service_unavailable when it did not get through within the time limit
   */
  transaction<T>(work: (tx: MySqlTx) => Promise<T>): Promise<T>;
  /**
   * Answers when the server does.
   * @returns "read_only" where it takes no writes, as far as is known without one
   * @throws when it does not within two seconds
   */
  ping(): Promise<"up" | "read_only">;
  /** The time of the machine that MySQL runs on. */
  now(): Promise<Date>;
  /**
   * For before costly work that is in vain without a write, such as the hash of a password.
   * @throws at once, where it is known that MySQL does not answer or takes no writes
   */
  expectWrites(): void;
  /** How busy its connections are. */
  pool(): PoolState;
  close(): Promise<void>;
}

/** What the driver is told; the same for the application, the deploy step and the checks. */
export function mysqlOptions(databaseUrl: string): mariadb.ConnectionConfig {
  const url = new URL(databaseUrl);
  const local = ["localhost", "127.0.0.1", "::1", "[::1]"].includes(url.hostname);
  const tls = url.searchParams.get("ssl") ?? url.searchParams.get("sslaccept");
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    timezone: "Z",
    charset: "utf8mb4",
    connectTimeout: 2500,
    // MySQL 8's default sign-in needs TLS or the server's key. Fetching the key over a network would let
    // someone in between take the password, so it is allowed on this machine or when the URL says so.
    allowPublicKeyRetrieval: local || url.searchParams.get("allowPublicKeyRetrieval") === "true",
    ...(tls === null || tls === "false"
      ? {}
      : { ssl: tls === "accept_invalid_certs" ? { rejectUnauthorized: false } : true }),
  };
}

/** Runs `work` on a connection of its own, beside the pool. */
export async function withConnection<T>(
  databaseUrl: string,
  work: (connection: mariadb.Connection) => Promise<T>,
): Promise<T> {
  const connection = await mariadb.createConnection(mysqlOptions(databaseUrl));
  try {
    return await work(connection);
  } finally {
    await connection.end();
  }
}

/**
 * Opens one connection of its own and closes it, to tell a wrong password from a closed port: the pool
 * reports both as a timeout, and only after ten seconds (prisma/orm#28612).
 * @throws DatabaseUnusable within three seconds, also where the server is not one that the application can use
 */
export async function checkMySql(databaseUrl: string): Promise<void> {
  const options = mysqlOptions(databaseUrl);
  const where = `${options.host}:${options.port}`;
  try {
    const [{ version }] = await withConnection(databaseUrl, (connection) =>
      connection.query<[{ version: string }]>("SELECT VERSION() AS version"),
    );
    const problem = mysqlProblem(version);
    if (problem !== undefined) throw new DatabaseUnusable(`MySQL at ${where} ${problem}.`);
  } catch (cause) {
    if (cause instanceof DatabaseUnusable) throw cause;
    const { code, errno, sqlMessage } = cause as { code?: string; errno?: number; sqlMessage?: string };
    if (errno === 1045 || errno === 1698) {
      throw new DatabaseUnusable(
        `MySQL at ${where} refused user "${options.user}": wrong password or no such user. Check DATABASE_URL.`,
        { cause },
      );
    }
    if (errno === 1049 || errno === 1044) {
      throw new DatabaseUnusable(
        `MySQL at ${where} has no database "${options.database}" for user "${options.user}". Create it, or change DATABASE_URL.`,
        { cause },
      );
    }
    if (/RSA public key|allowPublicKeyRetrieval/i.test(sqlMessage ?? "")) {
      throw new DatabaseUnusable(
        `MySQL at ${where} wants an encrypted connection to sign in. Add ?ssl=true to DATABASE_URL, or ?allowPublicKeyRetrieval=true if the network between is yours.`,
        { cause },
      );
    }
    if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
      throw new DatabaseUnusable(
        `The host "${options.host}" is not known here (${code}). Check DATABASE_URL.`,
        {
          cause,
        },
      );
    }
    throw new DatabaseUnusable(
      `MySQL does not answer at ${where} (${code ?? "no reason given"}). Is it running, and is DATABASE_URL right?`,
      { cause },
    );
  }
}

/** Longest time one transaction may take, in milliseconds. */
const TRANSACTION_LIMIT = 5000;
/** A transaction that waited for a lock is not tried again where it could wait beyond that many milliseconds. */
const LOCK_LIMIT = 3000;
/**
 * Longest wait for a lock, in seconds: of a row that another transaction has, after which the whole transaction is tried
 * again, and of a table or of everything, as while a backup or a change of the schema has it.
 */
const LOCK_WAIT_SECONDS = 2;
/** Longest wait for the answer of one statement, of a server that answers others, in milliseconds. */
const ANSWER_LIMIT = 3000;
/** Longest wait for a free connection, in milliseconds: it is long only where many ask, and ends with what they do. */
const CONNECTION_LIMIT = 4500;

/** A number behind Prisma's error: MySQL's own error code, when the error came from MySQL. */
function mysqlErrno(error: unknown): number | undefined {
  const cause = (
    error as { meta?: { driverAdapterError?: { cause?: { code?: unknown; originalCode?: unknown } } } }
  )?.meta?.driverAdapterError?.cause;
  const code = Number(cause?.originalCode ?? cause?.code ?? (error as { errno?: unknown })?.errno);
  return Number.isInteger(code) ? code : undefined;
}

/** True when MySQL ended the transaction for another's sake and it can simply be tried again. */
const isRetryable = (error: unknown): boolean => {
  const errno = mysqlErrno(error);
  return (
    errno === 1213 ||
    errno === 1205 ||
    (error instanceof Prisma.PrismaClientKnownRequestError && error.code === "P2034")
  );
};

/**
 * The name of the unique index that refused a write, or undefined when `error` is something else.
 * Prisma's own `meta.target` is empty with a driver adapter (prisma/prisma#28953).
 */
export function duplicateIndex(error: unknown): string | undefined {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== "P2002") return undefined;
  const constraint = (
    error.meta as { driverAdapterError?: { cause?: { constraint?: { index?: string } } } } | undefined
  )?.driverAdapterError?.cause?.constraint;
  // MySQL 8 says `users.users_email_key`, MariaDB `users_email_key`.
  return constraint?.index?.split(".").at(-1) ?? "unknown";
}

/** What the driver says when its pool has no connection to give. */
const noAnswer = (cause: unknown): Error =>
  Object.assign(new Error("MySQL does not answer", { cause }), {
    name: "SqlError",
    errno: 45028,
    code: "ER_GET_CONNECTION_TIMEOUT",
    sqlState: "HY000",
    sqlMessage: "MySQL does not answer",
  });

/** A statement of the driver: its text, or an object with it. */
const textOf = (statement: unknown): string =>
  typeof statement === "string" ? statement : (statement as { sql: string }).sql;

/** What is asked outside of transactions: what it writes is lasting when it is answered. */
const aloneAsks = (statement: unknown): Asked | undefined =>
  /^\s*(?:insert|update|delete|replace)\b/i.test(textOf(statement)) ? WRITE : undefined;
const WRITE: Asked = { writes: true, shows: "writes" };

/** Has a pulse guard whatever is asked of a pool, and of the connections that it gives for transactions. */
function guardPool(pool: mariadb.Pool, pulse: Pulse): void {
  const { execute, query, getConnection } = pool;
  // A statement alone may go on: its connection comes back to the pool when it has ended.
  pool.execute = ((...words) =>
    pulse.guard(() => execute.apply(pool, words), aloneAsks(words[0]))) as typeof execute;
  pool.query = ((...words) =>
    pulse.guard(() => query.apply(pool, words), aloneAsks(words[0]))) as typeof query;
  pool.getConnection = async () => {
    let late = false;
    const connection = await pulse.guard(
      async () => {
        const given = await getConnection.call(pool);
        if (late) await given.release();
        return given;
      },
      {
        refused: () => {
          late = true;
        },
        writes: true,
        shows: "nothing",
      },
    );
    // Not given back with a transaction that is open: whoever came next would commit it.
    const { execute: run, query: ask } = connection;
    const refused = () => connection.destroy();
    const asked: Asked = { refused, writes: true };
    const commits: Asked = { ...asked, shows: "writes" };
    connection.execute = ((...words) => pulse.guard(() => run.apply(connection, words), asked)) as typeof run;
    connection.query = ((...words) =>
      pulse.guard(
        () => ask.apply(connection, words),
        textOf(words[0]) === "COMMIT" ? commits : asked,
      )) as typeof ask;
    return connection;
  };
}

/** Looks for signs of life of the MySQL at an address, over connections of their own: the pool's may all be taken. */
function mysqlLooks(databaseUrl: string): Record<"look" | "write", Look> {
  const looking = (sql: string) => async (limit: number) => {
    const options = { ...mysqlOptions(databaseUrl), connectTimeout: limit };
    const connection = await mariadb.createConnection(options);
    try {
      await within(limit, "MySQL", connection.query(sql)).catch((error: { errno?: number }) => {
        // A refusal for another reason is a sign of life as well, such as of a table that is not there yet.
        if (error.errno === undefined || isUnavailable(error)) throw error;
      });
      await connection.end();
    } finally {
      // Ends the statement too, where it still waits.
      connection.destroy();
    }
  };
  return {
    look: looking("SELECT 1"),
    // Something is changed and written to disk: a server may also take a statement that finds nothing to do. The row is
    // one that has expired, as far as limits go.
    write: looking(
      "INSERT INTO rate_limits (`key`, points, expires_at) VALUES ('pulse', 0, NOW(3)) " +
        "ON DUPLICATE KEY UPDATE points = points + 1 - IF(points > 1000, 1000, 0), expires_at = VALUES(expires_at)",
    ),
  };
}

/**
 * Connects Prisma to MySQL over a pool of `poolSize` connections. Does not wait for the server.
 * @param caller.tell gets the text of each statement, for tests that look at what is asked
 */
export function connectMySql(
  databaseUrl: string,
  poolSize: number,
  { patient = false, tell }: Caller & { tell?: (statement: string) => void } = {},
): MySql {
  const pool = mariadb.createPool({
    ...mysqlOptions(databaseUrl),
    connectionLimit: poolSize,
    // Zero never connects; one keeps the first query of a quiet hour fast.
    minimumIdle: 1,
    acquireTimeout: CONNECTION_LIMIT,
    socketTimeout: patient ? 0 : ANSWER_LIMIT,
    // MySQL's own limits (50 s, a year, none) are longer than anybody waits for an answer.
    initSql:
      `SET SESSION innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}, lock_wait_timeout = ${LOCK_WAIT_SECONDS}` +
      (patient ? "" : `, max_execution_time = ${ANSWER_LIMIT}`),
    // The adapter's default of 0 prepares, executes and closes for every read.
    prepareCacheLength: 128,
  });
  /** What the last look failed with: the pool says of everything that it took too long (prisma/orm#28612). */
  let lost: unknown;
  const { look, write } = mysqlLooks(databaseUrl);
  const noted: Look = (limit) =>
    look(limit).catch((error) => {
      lost = error;
      throw error;
    });
  const pulse = createPulse({ look: noted, write }, noAnswer);
  if (!patient) guardPool(pool, pulse);
  const client = new PrismaClient({
    adapter: new PrismaMariaDb(pool, {
      database: mysqlOptions(databaseUrl).database ?? "",
    }),
    errorFormat: "minimal",
    log: tell ? [{ emit: "event", level: "query" }] : [],
  });
  if (tell) client.$on("query", ({ query }) => tell(query));

  return {
    on: (tx) => (tx === undefined ? client : (tx as unknown as Prisma.TransactionClient)),
    async transaction(work) {
      const begun = performance.now();
      for (let attempt = 1; ; attempt++) {
        try {
          return await client.$transaction((tx) => work(tx as unknown as MySqlTx), {
            maxWait: TRANSACTION_LIMIT,
            timeout: TRANSACTION_LIMIT,
            isolationLevel: "ReadCommitted",
          });
        } catch (error) {
          const expired = error instanceof Prisma.PrismaClientKnownRequestError && error.code === "P2028";
          if (!isRetryable(error) && !expired) throw error;
          const took = performance.now() - begun;
          const isOver =
            mysqlErrno(error) === 1205
              ? took + LOCK_WAIT_SECONDS * 1000 > LOCK_LIMIT
              : took > TRANSACTION_LIMIT;
          if (expired || isOver) {
            throw new AppError("service_unavailable", "Too many changes at once. Try again.", {
              retryAfter: 1,
              cause: error,
            });
          }
          await new Promise((resolve) => setTimeout(resolve, jitter(0, Math.min(200, 5 * 2 ** attempt))));
        }
      }
    },
    async ping() {
      const asked = client.$queryRaw<{ readOnly: bigint }[]>`SELECT @@read_only AS readOnly`;
      const [answer] = await within(PING_LIMIT, "MySQL", asked).catch((error) => {
        throw new Error("MySQL does not answer", { cause: lost ?? error });
      });
      lost = undefined;
      return pulse.isReadOnly() || Number(answer?.readOnly) === 1 ? "read_only" : "up";
    },
    async now() {
      const [answer] = await client.$queryRaw<{ now: Date }[]>`SELECT UTC_TIMESTAMP(3) AS now`;
      return (answer as { now: Date }).now;
    },
    expectWrites: pulse.expectWrites,
    pool: () => ({ used: pool.activeConnections(), waiting: pool.taskQueueSize() }),
    async close() {
      pulse.close();
      await client.$disconnect();
      // Not left to the adapter, which ends the pool only where a query was made: its idle connections would keep the
      // process alive.
      await pool.end();
    },
  };
}

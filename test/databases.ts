import mariadb from "mariadb";
import { MongoClient } from "mongodb";
import { buildIndexes } from "../src/db/indexes";
import { migrateMySql } from "../src/db/migrations";
import { connectMongo } from "../src/db/mongo";
import { mysqlOptions } from "../src/db/prisma";
import { databaseOf, withDatabase } from "./addresses";

/** The throw-away databases of one test worker, beside the ones that the environment names. */
export interface WorkerDatabases {
  databaseUrl: string;
  mongodbUri: string;
}

const PREFIX = "aizy_test_";

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
};

async function withMySql<T>(
  databaseUrl: string,
  work: (connection: mariadb.Connection) => Promise<T>,
): Promise<T> {
  const connection = await mariadb.createConnection({ ...mysqlOptions(databaseUrl), database: undefined });
  try {
    return await work(connection);
  } finally {
    await connection.end();
  }
}

/** Drops the test databases that `chosen` picks by their worker's process; no other one is touched. */
async function dropTestDatabases(base: WorkerDatabases, chosen: (pid: number) => boolean): Promise<void> {
  const pick = (names: string[]) =>
    names.filter((name) => {
      const pid = new RegExp(`^${PREFIX}(\\d+)(_|$)`).exec(name)?.[1];
      return pid !== undefined && chosen(Number(pid));
    });
  await withMySql(base.databaseUrl, async (connection) => {
    const rows = await connection.query<{ name: string }[]>(
      "SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name LIKE 'aizy\\_test\\_%'",
    );
    for (const name of pick(rows.map((row) => row.name))) {
      await connection.query(`DROP DATABASE IF EXISTS ${connection.escapeId(name)}`);
    }
  });
  const client = await MongoClient.connect(base.mongodbUri);
  try {
    const { databases } = await client.db("admin").admin().listDatabases({ nameOnly: true });
    for (const name of pick(databases.map((database) => database.name))) await client.db(name).dropDatabase();
  } finally {
    await client.close();
  }
}

/** Drops what workers left that were killed. */
export const dropLeftovers = (base: WorkerDatabases): Promise<void> =>
  dropTestDatabases(base, (pid) => !alive(pid));

/** Drops this worker's databases. */
export const dropOwn = (base: WorkerDatabases): Promise<void> =>
  dropTestDatabases(base, (pid) => pid === process.pid);

/**
 * Makes the databases of this worker, named by its process, unless an earlier test file of it did.
 * @returns their URLs
 */
export async function openWorkerDatabases(base: WorkerDatabases): Promise<WorkerDatabases> {
  const name = `${PREFIX}${process.pid}`;
  const worker = {
    databaseUrl: withDatabase(base.databaseUrl, name),
    mongodbUri: withDatabase(base.mongodbUri, name),
  };
  const made = await withMySql(base.databaseUrl, async (connection) => {
    const [row] = await connection.query<unknown[]>(
      "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?",
      [name],
    );
    if (row !== undefined) return false;
    await connection.query(`CREATE DATABASE ${connection.escapeId(name)} CHARACTER SET utf8mb4`);
    return true;
  });
  if (made) {
    await migrateMySql(worker.databaseUrl);
    const mongo = connectMongo(worker.mongodbUri, 2);
    try {
      await mongo.connection.asPromise();
      await buildIndexes(mongo);
    } finally {
      await mongo.close();
    }
  }
  return worker;
}

/** Makes an empty MySQL database beside the others; MongoDB makes its own with the first document. */
export const createDatabase = ({ databaseUrl }: Pick<WorkerDatabases, "databaseUrl">): Promise<void> =>
  withMySql(databaseUrl, async (connection) => {
    const name = databaseOf(databaseUrl);
    await connection.query(`CREATE DATABASE ${connection.escapeId(name)} CHARACTER SET utf8mb4`);
  });

/** Empties every table and collection of a worker; tables, indexes and the migration record stay. */
export async function emptyDatabases(worker: WorkerDatabases): Promise<void> {
  const connection = await mariadb.createConnection(mysqlOptions(worker.databaseUrl));
  try {
    const tables = await connection.query<{ name: string }[]>(
      "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> '_prisma_migrations'",
    );
    await connection.query("SET foreign_key_checks = 0");
    for (const { name } of tables) await connection.query(`DELETE FROM ${connection.escapeId(name)}`);
  } finally {
    await connection.end();
  }
  const client = await MongoClient.connect(worker.mongodbUri);
  try {
    const collections = await client.db().collections();
    for (const collection of collections) await collection.deleteMany({});
  } finally {
    await client.close();
  }
}

/** Drops the databases of a worker, for scripts that do not leave them to the next run. */
export async function dropWorkerDatabases(worker: WorkerDatabases): Promise<void> {
  await withMySql(worker.databaseUrl, async (connection) => {
    const name = databaseOf(worker.databaseUrl);
    await connection.query(`DROP DATABASE IF EXISTS ${connection.escapeId(name)}`);
  });
  const client = await MongoClient.connect(worker.mongodbUri);
  try {
    await client.db().dropDatabase();
  } finally {
    await client.close();
  }
}

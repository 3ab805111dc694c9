/**
 * MySQL's half of a backup: one file of SQL that this program and `mysql` both run, a statement a line. Made through the
 * driver, so that it does not depend on which mysqldump a machine has: MariaDB's writes values of generated columns,
 * which MySQL refuses.
 */
import type mariadb from "mariadb";
import { withConnection } from "../db/prisma";
import { systemClock } from "../lib/clock";
import { linesOf } from "../lib/lines";
import { unpacked, writePacked } from "./packed";

/** Characters of one INSERT; the server takes 64 MB in one statement unless it is told otherwise. */
const STATEMENT_SIZE = 512 * 1024;

const HEADER = [
  "SET NAMES utf8mb4",
  "SET time_zone = '+00:00'",
  "SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'",
  "SET foreign_key_checks = 0",
  "SET unique_checks = 0",
];

interface Column {
  name: string;
  type: string;
  generated: number;
}

const BINARY = /^(var)?binary$|blob$/;

/** Reads a column as a number, a text without a time zone, or hexadecimal digits. */
const readAs = ({ name, type }: Column): string => {
  const id = `\`${name}\``;
  if (BINARY.test(type)) return `HEX(${id})`;
  return type === "json" ? `CAST(${id} AS CHAR CHARACTER SET utf8mb4)` : id;
};

type Value = null | string | number | bigint;

/** A value as SQL, on one line. */
function literal(connection: mariadb.Connection, { type }: Column, value: Value): string {
  if (value === null) return "NULL";
  if (BINARY.test(type)) return value === "" ? "''" : `X'${value}'`;
  return connection.escape(value);
}

export const tablesOf = async (connection: mariadb.Connection): Promise<string[]> => {
  const rows = await connection.query<{ name: string }[]>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name",
  );
  return rows.map(({ name }) => name);
};

/** A table's statements: it is made, and filled in parts. */
async function* statementsOf(
  connection: mariadb.Connection,
  table: string,
  count: () => void,
): AsyncGenerator<string> {
  const id = connection.escapeId(table);
  const [made] = await connection.query<Record<string, string>[]>(`SHOW CREATE TABLE ${id}`);
  yield (made?.["Create Table"] ?? "").replace(/\n\s*/g, " ");
  const columns = (
    await connection.query<Column[]>(
      "SELECT column_name AS name, data_type AS type, generation_expression <> '' AS `generated` FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position",
      [table],
    )
  ).filter(({ generated }) => Number(generated) === 0);
  const start = `INSERT INTO ${id} (${columns.map(({ name }) => `\`${name}\``).join(", ")}) VALUES `;
  let waiting = "";
  const sql = `SELECT ${columns.map(readAs).join(", ")} FROM ${id}`;
  const rows = connection.queryStream({ sql, rowsAsArray: true, dateStrings: true });
  for await (const row of rows as AsyncIterable<Value[]>) {
    count();
    const values = columns.map((column, index) => literal(connection, column, row[index] ?? null));
    waiting += `${waiting === "" ? start : ", "}(${values.join(", ")})`;
    if (waiting.length >= STATEMENT_SIZE) {
      yield waiting;
      waiting = "";
    }
  }
  if (waiting !== "") yield waiting;
}

/** How long MySQL waits until somebody reads on, in seconds; its own 60 are few for a slow disk. */
const READ_ON_SECONDS = 86_400;

/** Begins to read the database as it is now. @returns the time, and which migrations it has */
export async function openSnapshot(connection: mariadb.Connection) {
  await connection.query("SET time_zone = '+00:00'");
  await connection.query("SET SESSION net_write_timeout = ?", [READ_ON_SECONDS]);
  await connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  await connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
  const at = systemClock.now();
  const rows = await connection.query<{ name: string }[]>(
    "SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name",
  );
  return { at, migrations: rows.map(({ name }) => name) };
}

/** Writes every table as the open snapshot has it. @returns the rows of each */
export async function dumpMySql(
  connection: mariadb.Connection,
  path: string,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  async function* lines() {
    for (const statement of HEADER) yield `${statement};\n`;
    for (const table of await tablesOf(connection)) {
      counts[table] = 0;
      const count = () => {
        counts[table] = (counts[table] ?? 0) + 1;
      };
      for await (const statement of statementsOf(connection, table, count)) yield `${statement};\n`;
    }
  }
  await writePacked(path, lines());
  await connection.query("COMMIT");
  return counts;
}

/** Runs a file of `dumpMySql` on an empty database. @returns the rows of each table now */
export const loadMySql = (databaseUrl: string, path: string): Promise<Record<string, number>> =>
  withConnection(databaseUrl, async (connection) => {
    for await (const line of linesOf(unpacked(path))) await connection.query(line.replace(/;$/, ""));
    const counts: Record<string, number> = {};
    for (const table of await tablesOf(connection)) {
      const [row] = await connection.query<{ count: bigint }[]>(
        `SELECT COUNT(*) AS count FROM ${connection.escapeId(table)}`,
      );
      counts[table] = Number(row?.count);
    }
    return counts;
  });

/** How far the clocks of servers may be apart, in seconds. */
const CLOCKS = 60;

/**
 * MongoDB was read a moment before MySQL: what MySQL's jobs erased of people in between is still there. It is erased
 * again; erasing what is gone does nothing.
 * @param mongoAt when MongoDB was read
 * @returns how many people it is about
 */
export const repeatErasures = (databaseUrl: string, mongoAt: string): Promise<number> =>
  withConnection(databaseUrl, async (connection) => {
    const { affectedRows } = await connection.query(
      `INSERT INTO jobs (id, kind, payload, run_at, max_attempts, created_at)
       SELECT UUID(), 'users.erase_late', person, NOW(3), 1000, NOW(3) FROM (
         SELECT DISTINCT payload AS person FROM jobs
         WHERE kind IN ('users.erase', 'users.erase_late')
           AND (progress IS NOT NULL OR finished_at IS NOT NULL)
           AND (finished_at IS NULL OR finished_at >= ? - INTERVAL ${CLOCKS} SECOND)) AS people`,
      [new Date(mongoAt)],
    );
    return affectedRows;
  });

/** Whatever text people can set, in whatever column: a restored database has it byte for byte. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type mariadb from "mariadb";
import { Double, Long, MongoClient } from "mongodb";
import { withDatabase } from "../../test/addresses";
import { createDatabase, dropWorkerDatabases, emptyDatabases } from "../../test/databases";
import { connectMongo, type Mongo, whenConnected } from "../db/mongo";
import { withConnection } from "../db/prisma";
import { loadMongo, openMongoSnapshot } from "./mongo.store";
import { dumpMySql, loadMySql, openSnapshot, tablesOf } from "./mysql.store";

const from = { databaseUrl: process.env.DATABASE_URL ?? "", mongodbUri: process.env.MONGODB_URI ?? "" };
const name = `aizy_test_${process.pid}_hostile`;
const to = {
  databaseUrl: withDatabase(from.databaseUrl, name),
  mongodbUri: withDatabase(from.mongodbUri, name),
};
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-hostile-"));
  await emptyDatabases(from);
  await createDatabase(to);
});
afterAll(async () => {
  await emptyDatabases(from);
  await dropWorkerDatabases(to);
  await rm(folder, { recursive: true, force: true });
});

/** What ends a line, a text, a statement or a comment somewhere, and what is more than one unit of UTF-16. */
const ENDS = [
  ...["\u2028", "\u2029", "\u0085", "\r", "\r\n", "\n", "\v", "\f", "\0", "\u001a", "\t", "\b", "\u007f"],
  ...["'", '"', "`", "\\", "\\'", "''", "\\n", ";", ";\n", "--\n", "/*", "*/", "#", "?", ":a", "%", "\ufeff"],
  ...["\u{1f469}\u200d\u{1f4bb}", "e\u0301", "\uffff", "\u{10ffff}"],
];
/** Every one of these alone, and some mixed with the rest of Unicode; the same in each run. */
const TEXTS = [
  ...ENDS.map((end) => `Q${end}Q`),
  ...fc.sample(
    fc.string({ unit: fc.oneof(fc.constantFrom(...ENDS), fc.string({ unit: "binary", maxLength: 1 })) }),
    { seed: 1, numRuns: 20 },
  ),
];

interface Column {
  name: string;
  type: string;
  length: number | bigint | null;
  charset: string | null;
  generated: number | bigint;
}

const columnsOf = (connection: mariadb.Connection, table: string): Promise<Column[]> =>
  connection.query(
    "SELECT column_name AS name, data_type AS type, character_maximum_length AS length, character_set_name AS charset, generation_expression <> '' AS `generated` FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position",
    [table],
  );

/** A value of a column for the row of this number. */
function heldBy({ type, length, charset }: Column, row: number): string | number | Buffer {
  const text = TEXTS[row] ?? "";
  if (/^(var)?char$|text$/.test(type)) {
    const fitting = charset === "ascii" ? text.replace(/[^\0-\x7f]/gu, "") : text;
    // The number makes it one of a kind where it has to be.
    return [...`${row}${fitting}`].slice(0, Number(length)).join("");
  }
  if (type === "json") return JSON.stringify({ [text]: [text, row] });
  if (/binary$|blob$/.test(type)) return Buffer.alloc(Math.min(Number(length), 64), `${row}\n'\\\0`);
  if (/int$/.test(type)) return row % 100;
  if (type === "datetime") return "2026-02-03 04:05:06.789";
  throw new Error(`Say here what a column of type ${type} may hold.`);
}

/** Every row of every table in hexadecimal digits, generated columns included. */
const contentOf = (databaseUrl: string) =>
  withConnection(databaseUrl, async (connection) => {
    const content: Record<string, string[]> = {};
    for (const table of await tablesOf(connection)) {
      const values = (await columnsOf(connection, table)).map(
        (column) => `COALESCE(HEX(\`${column.name}\`), 'NULL')`,
      );
      const rows = await connection.query<{ row: string }[]>(
        `SELECT CONCAT_WS(' ', ${values.join(", ")}) AS \`row\` FROM ${connection.escapeId(table)}`,
      );
      content[table] = rows.map(({ row }) => row).sort();
    }
    return content;
  });

test("MySQL: each text in each column of each table", async () => {
  const dump = join(folder, "mysql.sql.gz");
  await withConnection(from.databaseUrl, async (connection) => {
    await connection.query("SET foreign_key_checks = 0");
    for (const table of (await tablesOf(connection)).filter((one) => one !== "_prisma_migrations")) {
      const columns = (await columnsOf(connection, table)).filter(({ generated }) => Number(generated) === 0);
      const names = columns.map((column) => `\`${column.name}\``).join(", ");
      const sql = `INSERT INTO ${connection.escapeId(table)} (${names}) VALUES (${columns.map(() => "?").join(", ")})`;
      // Prepared, so that the values travel as they are and the driver escapes nothing.
      const statement = await connection.prepare(sql);
      for (const row of TEXTS.keys()) await statement.execute(columns.map((column) => heldBy(column, row)));
      statement.close();
    }
  });
  const counts = await withConnection(from.databaseUrl, async (connection) => {
    await openSnapshot(connection);
    return dumpMySql(connection, dump);
  });
  expect(counts).toMatchObject({ users: TEXTS.length, api_keys: TEXTS.length });
  expect(await loadMySql(to.databaseUrl, dump)).toEqual(counts);
  const [before, after] = [await contentOf(from.databaseUrl), await contentOf(to.databaseUrl)];
  expect(after).toEqual(before);
  const users = before.users?.join("\n");
  for (const [row, text] of TEXTS.entries())
    expect(users).toContain(Buffer.from(`${row}${text}`).toString("hex").toUpperCase());
});

test("MongoDB: each text as a value and as a name", async () => {
  const [source, target] = await Promise.all(
    [from, to].map(({ mongodbUri }) => MongoClient.connect(mongodbUri)),
  );
  const [one, other] = [connectMongo(from.mongodbUri, 2), connectMongo(to.mongodbUri, 2)] as [Mongo, Mongo];
  try {
    await source
      ?.db()
      .collection<{ _id: string }>("products")
      .insertMany(
        TEXTS.map((text, row) => ({
          _id: `${row}${text}`,
          // MongoDB takes no NUL in a name.
          [`n${text.replaceAll("\0", "")}`]: {
            list: [text],
            double: new Double(row),
            long: Long.fromNumber(row),
          },
        })),
      );
    await Promise.all([one, other].map(whenConnected));
    const snapshot = await openMongoSnapshot(one);
    const counts = await snapshot.dump(folder);
    await snapshot.close();
    expect(counts).toMatchObject({ products: TEXTS.length });
    expect(await loadMongo(other, folder, Object.keys(counts))).toEqual(counts);
    // Those that hold nothing too.
    const made = (await target?.db().listCollections({ type: "collection" }).toArray())?.map(
      ({ name }) => name,
    );
    expect(made?.sort()).toEqual(Object.keys(counts).sort());
    const bytesOf = async (client: MongoClient | undefined) => {
      const documents = await client?.db().collection("products").find({}, { raw: true }).toArray();
      return documents
        ?.map((document) => Buffer.from(document as unknown as Uint8Array).toString("hex"))
        .sort();
    };
    expect(await bytesOf(target)).toEqual(await bytesOf(source));
  } finally {
    await Promise.all([one, other, source, target].map((client) => client?.close()));
  }
});

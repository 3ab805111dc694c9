/**
 * bun run db:check — holds the migrated MySQL database against `prisma/schema.prisma`: tables, columns, types,
 * nullability, defaults, keys, indexes and foreign keys, as Drizzle Kit reads them from the database, and the
 * collations, which Prisma's schema cannot say. Ends with 1 and names each difference.
 *
 *   bun prisma/check.ts              the database that DATABASE_URL names
 *   bun prisma/check.ts --scratch    a new one beside it with every migration applied, dropped afterwards
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GetDMMFError, getDMMF } from "@prisma/get-dmmf";
import mariadb from "mariadb";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";
import { migrateMySql } from "../src/db/migrations";
import { mysqlOptions } from "../src/db/prisma";

/** A table as both sides are brought to before they are compared. */
export interface TableShape {
  /** By name: type, "null" or "not null", default; for example `char(36) not null`. */
  columns: Record<string, string>;
  primaryKey: string[];
  /** `unique (a, b)` and `index (a, b)`, sorted. */
  indexes: string[];
  /** `(a) → table (b) on delete cascade on update cascade`, sorted. */
  foreignKeys: string[];
}

export type Shapes = Record<string, TableShape>;

type Dmmf = Exclude<ReturnType<typeof getDMMF>, GetDMMFError>;
type Field = Dmmf["datamodel"]["models"][number]["fields"][number];

/** What Prisma's scalars are on MySQL when the schema names no type of its own. */
const DEFAULT_TYPES: Record<string, string> = {
  String: "varchar(191)",
  Boolean: "boolean",
  Int: "int",
  BigInt: "bigint",
  Float: "double",
  Decimal: "decimal(65,30)",
  DateTime: "datetime(3)",
  Json: "json",
  Bytes: "longblob",
};

function typeOf(field: Field, dmmf: Dmmf): string {
  if (field.kind === "enum") {
    const values = dmmf.datamodel.enums.find(({ name }) => name === field.type)?.values ?? [];
    return `enum(${values.map((value) => `'${value.dbName ?? value.name}'`).join(",")})`;
  }
  if (!field.nativeType) return DEFAULT_TYPES[field.type] ?? field.type;
  const [name, parameters] = field.nativeType;
  const base = name.startsWith("Unsigned") ? `${name.slice(8).toLowerCase()} unsigned` : name.toLowerCase();
  const size = parameters.length > 0 ? `(${parameters.join(",")})` : "";
  return normalType(base.replace(/^\S+/, (word) => `${word}${size}`));
}

/** Names of one type that MySQL, Drizzle and Prisma say differently. */
const normalType = (type: string): string =>
  type
    .toLowerCase()
    .replace(/,\s+/g, ",")
    .replace(/^tinyint\(1\)$/, "boolean")
    .replace(/^(bigint|int|smallint|mediumint)\(\d+\)/, "$1");

function defaultOf(field: Field): string {
  const value = field.default;
  if (value === undefined || value === null) return "";
  if (typeof value === "object" && "name" in value) {
    // Ids are made by Prisma; only these two are the database's.
    if (value.name === "now") return " default now";
    return value.name === "autoincrement" ? " autoincrement" : "";
  }
  // MySQL keeps a truth as a number.
  return ` default ${typeof value === "boolean" ? Number(value) : String(value)}`;
}

/** The tables that a Prisma schema describes. */
export function shapesOfSchema(schema: string): Shapes {
  const dmmf = getDMMF({ datamodel: schema });
  if (!("datamodel" in dmmf)) throw new Error(`prisma/schema.prisma cannot be read: ${dmmf.reason}`);
  const tableOf = (model: string) =>
    dmmf.datamodel.models.find(({ name }) => name === model)?.dbName ?? model;
  const shapes: Shapes = {};
  for (const model of dmmf.datamodel.models) {
    const column = (name: string) => model.fields.find((field) => field.name === name)?.dbName ?? name;
    const columns: TableShape["columns"] = {};
    const foreignKeys: string[] = [];
    for (const field of model.fields) {
      if (field.kind !== "object") {
        columns[column(field.name)] =
          `${typeOf(field, dmmf)} ${field.isRequired ? "not null" : "null"}${defaultOf(field)}`;
      } else if (field.relationFromFields?.length) {
        const target = dmmf.datamodel.models.find(({ name }) => name === field.type);
        const to = (field.relationToFields ?? []).map(
          (name) => target?.fields.find((other) => other.name === name)?.dbName ?? name,
        );
        foreignKeys.push(
          foreignKey(
            field.relationFromFields.map(column),
            tableOf(field.type),
            to,
            field.relationOnDelete ?? (field.isRequired ? "Restrict" : "SetNull"),
            field.relationOnUpdate ?? "Cascade",
          ),
        );
      }
    }
    const indexes: string[] = [];
    let primaryKey: string[] = [];
    for (const index of dmmf.datamodel.indexes.filter((item) => item.model === model.name)) {
      const names = index.fields.map(({ name }) => column(name));
      if (index.type === "id") primaryKey = names;
      else indexes.push(`${index.type === "unique" ? "unique" : "index"} (${names.join(", ")})`);
    }
    shapes[tableOf(model.name)] = {
      columns,
      primaryKey,
      indexes: indexes.sort(),
      foreignKeys: foreignKeys.sort(),
    };
  }
  return shapes;
}

const ACTIONS: Record<string, string> = {
  SetNull: "set null",
  NoAction: "no action",
  SetDefault: "set default",
};

function foreignKey(from: string[], table: string, to: string[], onDelete: string, onUpdate: string): string {
  const action = (name: string) => (ACTIONS[name] ?? name).toLowerCase();
  return `(${from.join(", ")}) → ${table} (${to.join(", ")}) on delete ${action(onDelete)} on update ${action(onUpdate)}`;
}

/** What Drizzle Kit writes into `meta/0000_snapshot.json`, as far as it is read here. */
interface Snapshot {
  tables: Record<
    string,
    {
      columns: Record<
        string,
        { type: string; notNull: boolean; primaryKey: boolean; autoincrement: boolean; default?: unknown }
      >;
      compositePrimaryKeys: Record<string, { columns: string[] }>;
      indexes: Record<string, { columns: string[]; isUnique: boolean }>;
      uniqueConstraints: Record<string, { columns: string[] }>;
      foreignKeys: Record<
        string,
        { tableTo: string; columnsFrom: string[]; columnsTo: string[]; onDelete: string; onUpdate: string }
      >;
    }
  >;
}

/** The tables that Drizzle Kit found; Prisma's own record of migrations is left out. */
export function shapesOfSnapshot(snapshot: Snapshot): Shapes {
  const shapes: Shapes = {};
  for (const [name, table] of Object.entries(snapshot.tables)) {
    if (name === "_prisma_migrations") continue;
    const columns = Object.entries(table.columns).map(
      ([column, { type, notNull, autoincrement, ...rest }]) => {
        const given = rest.default === undefined ? "" : String(rest.default).replace(/^\(?'?|'?\)?$/g, "");
        const value = /^(now|current_timestamp)\b/i.test(given) ? "now" : given;
        const ending = autoincrement
          ? " autoincrement"
          : rest.default === undefined
            ? ""
            : ` default ${value}`;
        return [column, `${normalType(type)} ${notNull ? "not null" : "null"}${ending}`] as const;
      },
    );
    const composite = Object.values(table.compositePrimaryKeys)[0]?.columns;
    const keyColumns = Object.entries(table.columns).flatMap(([column, { primaryKey }]) =>
      primaryKey ? [column] : [],
    );
    shapes[name] = {
      columns: Object.fromEntries(columns),
      primaryKey: composite ?? keyColumns,
      indexes: [
        ...Object.values(table.indexes).map(
          (index) => `${index.isUnique ? "unique" : "index"} (${index.columns.join(", ")})`,
        ),
        ...Object.values(table.uniqueConstraints).map((unique) => `unique (${unique.columns.join(", ")})`),
      ].sort(),
      foreignKeys: Object.values(table.foreignKeys)
        .map((key) => foreignKey(key.columnsFrom, key.tableTo, key.columnsTo, key.onDelete, key.onUpdate))
        .sort(),
    };
  }
  return shapes;
}

/** One line for each difference; none when both sides agree. */
export function differences(schema: Shapes, database: Shapes): string[] {
  const found: string[] = [];
  const compare = (where: string, wanted: string[], present: string[]) => {
    for (const item of wanted)
      if (!present.includes(item)) found.push(`${where}: ${item} is missing in the database`);
    for (const item of present)
      if (!wanted.includes(item)) found.push(`${where}: ${item} is not in schema.prisma`);
  };
  compare("table", Object.keys(schema), Object.keys(database));
  for (const [name, wanted] of Object.entries(schema)) {
    const present = database[name];
    if (!present) continue;
    compare(`${name}, column`, Object.keys(wanted.columns), Object.keys(present.columns));
    for (const [column, type] of Object.entries(wanted.columns)) {
      const actual = present.columns[column];
      if (actual !== undefined && actual !== type) {
        found.push(`${name}.${column}: schema.prisma says "${type}", the database "${actual}"`);
      }
    }
    compare(`${name}, primary key`, [wanted.primaryKey.join(", ")], [present.primaryKey.join(", ")]);
    compare(name, wanted.indexes, present.indexes);
    compare(`${name}, foreign key`, wanted.foreignKeys, present.foreignKeys);
  }
  return found;
}

/** One column of one index, as MySQL knows it. */
interface IndexedColumn {
  table: string;
  index: string;
  column: string;
  collation: string | null;
  kind: string;
}

/** Every column of every index, in the order of the index. */
async function indexedColumns(databaseUrl: string): Promise<IndexedColumn[]> {
  const connection = await mariadb.createConnection(mysqlOptions(databaseUrl));
  try {
    return await connection.query<IndexedColumn[]>(
      `SELECT s.table_name AS \`table\`, s.index_name AS \`index\`, s.column_name AS \`column\`,
              c.collation_name AS collation, s.index_type AS kind
         FROM information_schema.statistics s
         JOIN information_schema.columns c USING (table_schema, table_name, column_name)
        WHERE s.table_schema = DATABASE() AND s.table_name <> '_prisma_migrations'
        ORDER BY s.table_name, s.index_name, s.seq_in_index`,
    );
  } finally {
    await connection.end();
  }
}

/** Drizzle Kit reads the columns of an index in any order; this puts them into the one of the index. */
function orderIndexes(snapshot: Snapshot, columns: IndexedColumn[]): void {
  for (const [table, shape] of Object.entries(snapshot.tables)) {
    const inOrder = (name: string) =>
      columns.filter((row) => row.table === table && row.index === name).map(({ column }) => column);
    for (const [name, index] of Object.entries(shape.indexes)) index.columns = inOrder(name);
    for (const [name, unique] of Object.entries(shape.uniqueConstraints)) unique.columns = inOrder(name);
    for (const key of Object.values(shape.compositePrimaryKeys)) key.columns = inOrder("PRIMARY");
  }
}

/**
 * Text columns in a key or an index whose collation is not binary: MySQL's default takes é for e and A for a,
 * so a unique key would refuse what is different and a look-up would find another's row.
 */
const looseKeys = (columns: IndexedColumn[]): string[] => [
  ...new Set(
    columns
      .filter(
        ({ collation, kind }) => collation !== null && !collation.endsWith("_bin") && kind !== "FULLTEXT",
      )
      .map(
        ({ table, column, collation }) =>
          `${table}.${column}: a key of collation ${collation}; it must be a binary one`,
      ),
  ),
];

/** What Drizzle Kit reads from a database. @throws Error with its output */
async function pull(databaseUrl: string): Promise<Snapshot> {
  const out = await mkdtemp(join(tmpdir(), "aizy-drizzle-"));
  try {
    const child = Bun.spawn(["drizzle-kit", "pull"], {
      env: { ...process.env, DATABASE_URL: databaseUrl, DRIZZLE_OUT: out },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [text, errors] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    const name = (await readdir(join(out, "meta")).catch(() => [])).find((file) =>
      file.endsWith("_snapshot.json"),
    );
    if ((await child.exited) !== 0 || !name) throw new Error(`drizzle-kit pull failed:\n${text}${errors}`);
    return JSON.parse(await readFile(join(out, "meta", name), "utf8")) as Snapshot;
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** Every difference between a database and a Prisma schema. */
export async function checkDatabase(databaseUrl: string, schema: string): Promise<string[]> {
  const wanted = shapesOfSchema(schema);
  const [snapshot, columns] = await Promise.all([pull(databaseUrl), indexedColumns(databaseUrl)]);
  orderIndexes(snapshot, columns);
  return [...differences(wanted, shapesOfSnapshot(snapshot)), ...looseKeys(columns)];
}

/** Runs `work` on a new database beside the named one, which is dropped afterwards. */
async function withScratch<T>(named: string, work: (databaseUrl: string) => Promise<T>): Promise<T> {
  const url = new URL(named);
  // Named as those of tests are, so that the next test run drops it when this one is killed.
  url.pathname = `/aizy_test_${process.pid}_check`;
  const connection = await mariadb.createConnection({ ...mysqlOptions(named), database: undefined });
  const name = connection.escapeId(url.pathname.slice(1));
  try {
    await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    return await work(url.href);
  } finally {
    await connection.query(`DROP DATABASE IF EXISTS ${name}`);
    await connection.end();
  }
}

async function main(scratch: boolean): Promise<number> {
  const named = process.env.DATABASE_URL;
  if (!named) {
    console.error("DATABASE_URL is not set. `bun run db:check` provides one.");
    return 1;
  }
  const schema = await readFile("prisma/schema.prisma", "utf8");
  const found = scratch
    ? await withScratch(named, async (databaseUrl) => {
        await migrateMySql(databaseUrl);
        return checkDatabase(databaseUrl, schema);
      })
    : await checkDatabase(named, schema);
  if (found.length === 0) {
    console.log("The database is what prisma/schema.prisma says.");
    return 0;
  }
  console.error(`The database and prisma/schema.prisma disagree:\n  ${found.join("\n  ")}`);
  return 1;
}

if (import.meta.main) {
  process.exit(
    await main(readCommandLine(COMMANDS["db:check"]).values.scratch ?? false).catch((error: Error) => {
      console.error(error.message);
      return 1;
    }),
  );
}

/** The records of what was applied to MySQL, kept as Prisma keeps them: see migrate.ts. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type mariadb from "mariadb";
import { withDeployLock } from "./deploy-lock";
import { withConnection } from "./prisma";
import { checkTableRights } from "./requirements";
import { splitStatements } from "./sql-script";

/** Why the deploy step would not go on; the message says what to do. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/** MySQL's number for a table that is not there. */
const NO_SUCH_TABLE = 1146;

/** One folder of `prisma/migrations`. */
export interface Migration {
  name: string;
  sql: string;
  /** SHA-256 of the file's bytes in hex, as Prisma records it. */
  checksum: string;
}

interface AppliedRow {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
  rolled_back_at: Date | null;
  logs: string | null;
}

/** The names of the migrations of a folder in their order; they start with a time stamp. */
async function migrationNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/** Reads the migrations of a folder in their order. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = await migrationNames(folder);
  return Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(join(folder, name, "migration.sql")).catch((cause) => {
        throw new MigrationError(
          `Migration ${name} has no migration.sql. Restore the file or remove its folder.`,
          {
            cause,
          },
        );
      });
      return {
        name,
        sql: bytes.toString("utf8"),
        checksum: createHash("sha256").update(bytes).digest("hex"),
      };
    }),
  );
}

// The very table that Prisma's schema engine makes for MySQL.
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum VARCHAR(64) NOT NULL,
  finished_at DATETIME(3),
  migration_name VARCHAR(255) NOT NULL,
  logs TEXT,
  rolled_back_at DATETIME(3),
  started_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`;

/** What to do about a migration that failed half-way, with what an image holds too. */
const howToResolve = (name: string): string =>
  `run \`bun run migrate:resolve ${name}\` (\`bun dist/src/db/migrate.js resolve ${name}\`) with --applied when all of it is ` +
  "there now, or --rolled-back when nothing is and it should be applied again";

/**
 * The end of the name of a migration that takes away what earlier versions use: the time stamp of the migration from
 * which on versions do without it. It stands in the name because that is what the database keeps of a migration, so an
 * earlier version can read it without the file: `20270301120000_drop_nickname_needs_20270115090000`.
 */
const NEEDS = /_needs_(\d{14})$/;

/**
 * Refuses a database from which a newer version took away what this one uses.
 * @param present names of the migrations of this version
 * @param applied names of those of the database
 * @throws MigrationError
 */
function refuseContracted(present: string[], applied: string[]): void {
  const known = new Set(present);
  for (const name of applied) {
    const needed = known.has(name) ? undefined : NEEDS.exec(name)?.[1];
    if (needed !== undefined && !present.some((one) => one.startsWith(`${needed}_`)))
      throw new MigrationError(
        `The database has migration ${name} of a newer version, which took away what this one uses: only versions ` +
          `that know migration ${needed} run on it. Start such a version, or restore a backup from before.`,
      );
  }
}

/** How a database stands to the migrations of this version. */
interface Comparison {
  /** What is still to be applied. */
  pending: Migration[];
  /** Names of what a newer version applied; this one runs beside it. */
  newer: string[];
}

/**
 * Compares the migrations of this version with those of the database.
 * @throws MigrationError when an applied migration was edited or failed half-way, when a newer version took away what
 * this one uses, and when both have migrations that the other has not
 */
function compareMigrations(present: Migration[], applied: AppliedRow[]): Comparison {
  const known = new Map(present.map((migration) => [migration.name, migration]));
  const done = new Set<string>();
  const newer: string[] = [];
  for (const row of applied) {
    if (row.rolled_back_at !== null) continue;
    if (row.finished_at === null) {
      throw new MigrationError(
        `Migration ${row.migration_name} failed half-way${row.logs ? `: ${row.logs}` : ""}. ` +
          `Repair the database by hand, then ${howToResolve(row.migration_name)}.`,
      );
    }
    const migration = known.get(row.migration_name);
    if (!migration) {
      newer.push(row.migration_name);
      continue;
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationError(
        `Migration ${row.migration_name} was edited after it was applied. Restore the file as it was, and put ` +
          "the change into a new migration.",
      );
    }
    done.add(row.migration_name);
  }
  refuseContracted([...known.keys()], newer);
  const pending = present.filter((migration) => !done.has(migration.name));
  if (newer.length > 0 && pending.length > 0)
    throw new MigrationError(
      `The database has migration ${newer[0]}, which this version does not know, and lacks ${pending[0]?.name}, which ` +
        "this version has: they are not two steps of one line. Deploy a version that has both.",
    );
  return { pending, newer };
}

/** Nothing where there is no table yet: whoever only looks may have no right to make it. */
const noneWithoutTable = (error: { errno?: number }): never[] => {
  if (error.errno === NO_SUCH_TABLE) return [];
  throw error;
};

const readApplied = (connection: mariadb.Connection): Promise<AppliedRow[]> =>
  connection
    .query<AppliedRow[]>(
      "SELECT migration_name, checksum, finished_at, rolled_back_at, logs FROM _prisma_migrations ORDER BY started_at",
    )
    .catch(noneWithoutTable);

async function apply(connection: mariadb.Connection, migration: Migration): Promise<void> {
  // biome-ignore lint/plugin: the id is of the kind that Prisma writes into this table of its own
  const id = randomUUID();
  await connection.query(
    "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES (?, ?, ?, NOW(3))",
    [id, migration.checksum, migration.name],
  );
  try {
    for (const statement of splitStatements(migration.sql)) await connection.query(statement);
  } catch (cause) {
    const { sqlMessage } = cause as { sqlMessage?: string };
    await connection.query("UPDATE _prisma_migrations SET logs = ? WHERE id = ?", [
      sqlMessage ?? String(cause),
      id,
    ]);
    throw new MigrationError(
      `Migration ${migration.name} failed: ${sqlMessage ?? String(cause)}. MySQL cannot undo what it did before: ` +
        `repair the database by hand, then ${howToResolve(migration.name)}.`,
      { cause },
    );
  }
  await connection.query(
    "UPDATE _prisma_migrations SET finished_at = NOW(3), applied_steps_count = 1 WHERE id = ?",
    [id],
  );
}

/**
 * Brings MySQL to the newest migration of this version.
 * @param connection holds the lock of `withDeployLock`
 * @returns the names of the migrations it applied, and of those that a newer version had applied before
 * @throws MigrationError, with the migration's name and what to do; DatabaseUnusable where the user lacks a right
 */
export async function applyMigrations(
  connection: mariadb.Connection,
  folder = "prisma/migrations",
): Promise<{ applied: string[]; newer: string[] }> {
  const migrations = await readMigrations(folder);
  await checkTableRights(connection);
  await connection.query(CREATE_TABLE);
  const { pending, newer } = compareMigrations(migrations, await readApplied(connection));
  for (const migration of pending) await apply(connection, migration);
  return { applied: pending.map(({ name }) => name), newer };
}

/** `applyMigrations` where only MySQL is worked on. */
export const migrateMySql = (databaseUrl: string, folder?: string): ReturnType<typeof applyMigrations> =>
  withDeployLock(databaseUrl, (connection) => applyMigrations(connection, folder));

/**
 * Says what became of a migration, as `prisma migrate resolve` does: one that is not recorded as done is from now on, or
 * one that failed is applied again.
 * @throws MigrationError when there is no such migration, or nothing to resolve
 */
export async function resolveMigration(
  databaseUrl: string,
  name: string,
  as: "applied" | "rolled-back",
  folder = "prisma/migrations",
): Promise<void> {
  const migration = (await readMigrations(folder)).find((one) => one.name === name);
  if (!migration) throw new MigrationError(`There is no migration ${name} in ${folder}. Check its name.`);
  await withDeployLock(databaseUrl, async (connection) => {
    await connection.query(CREATE_TABLE);
    const rows = (await readApplied(connection)).filter(
      (row) => row.migration_name === name && row.rolled_back_at === null,
    );
    if (rows.some(({ finished_at }) => finished_at !== null))
      throw new MigrationError(`Migration ${name} is applied; there is nothing to resolve.`);
    if (as === "rolled-back" && rows.length === 0)
      throw new MigrationError(`Migration ${name} has not failed; \`bun run migrate\` applies it.`);
    await connection.beginTransaction();
    await connection.query(
      "UPDATE _prisma_migrations SET rolled_back_at = NOW(3) WHERE migration_name = ? AND finished_at IS NULL AND rolled_back_at IS NULL",
      [name],
    );
    if (as === "applied")
      await connection.query(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at) VALUES (?, ?, ?, NOW(3), NOW(3))",
        // biome-ignore lint/plugin: as above
        [randomUUID(), migration.checksum, name],
      );
    await connection.commit();
  });
}

/**
 * Names of the migrations that a server of this version needs and the database has not. Reads only. The database may
 * have those of a newer version.
 * @returns none too where there is no folder to compare with
 * @throws MigrationError when a newer version took away what this one uses
 */
export async function lackingMigrations(
  connection: mariadb.Connection,
  folder = "prisma/migrations",
): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const done = await connection
    .query<{ name: string }[]>(
      "SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
    )
    .catch(noneWithoutTable);
  const present = await migrationNames(folder);
  const applied = new Set(done.map(({ name }) => name));
  refuseContracted(present, [...applied]);
  return present.filter((name) => !applied.has(name));
}

/**
 * Names of the migrations that are not applied yet, and of those of a newer version.
 * @throws MigrationError as `compareMigrations`
 */
export async function missingMigrations(
  databaseUrl: string,
  folder = "prisma/migrations",
): Promise<{ missing: string[]; newer: string[] }> {
  const applied = await withConnection(databaseUrl, readApplied);
  const { pending, newer } = compareMigrations(await readMigrations(folder), applied);
  return { missing: pending.map(({ name }) => name), newer };
}

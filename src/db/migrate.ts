/**
 * The deploy step: applies `prisma/migrations` to MySQL and builds MongoDB's indexes, under a lock, so that
 * many containers may start at once. It records what it applied in `_prisma_migrations` exactly as Prisma
 * does (same columns, SHA-256 checksums), so `prisma migrate deploy|status|dev` agree with it wherever
 * Prisma's schema engine is available.
 *
 *   bun src/db/migrate.ts          apply what is missing
 *   bun src/db/migrate.ts status   say what is applied and what is missing; exit 1 when something is missing
 *   bun src/db/migrate.ts reset    drop every table and collection first, when that is confirmed (confirm.ts)
 */
import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import mariadb from "mariadb";
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { parseConfig } from "../config";
import { completeProducts } from "../products/complete";
import { confirmErasing } from "./confirm";
import { withDeployLock } from "./deploy-lock";
import { syncIndexes } from "./indexes";
import { connectMongo } from "./mongo";
import { checkMySql, mysqlOptions } from "./prisma";
import { checkMongo } from "./requirements";

/** What the program may be told to do instead of applying what is missing. */
const COMMAND_WORDS = ["status", "reset"] as const;

/** Why the deploy step would not go on; the message says what to do. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

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

/** Reads the migrations of a folder in the order of their names, which start with a time stamp. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
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

/**
 * Splits a script into its statements. MySQL takes several at once only when the connection allows it, which
 * we do not; so the script is cut at semicolons outside quotes and comments. Our migrations hold no DELIMITER.
 */
export function splitStatements(script: string): string[] {
  const token =
    /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|(?:--[ \t\r\n]|#)[^\n]*|--$|\/\*[\s\S]*?\*\/|;|[^'"`;#/-]+|[\s\S]/g;
  const statements: string[] = [];
  let current = "";
  for (const [part] of script.matchAll(token)) {
    if (part === ";") {
      statements.push(current);
      current = "";
    } else if (!/^(--|#|\/\*(?!!))/.test(part) || part === "-" || part === "/") {
      current += part;
    }
  }
  return [...statements, current].map((text) => text.trim()).filter((text) => text !== "");
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

/**
 * What is still to be applied.
 * @throws MigrationError when an applied migration was edited, is unknown here, or failed half-way
 */
export function pendingMigrations(present: Migration[], applied: AppliedRow[]): Migration[] {
  const known = new Map(present.map((migration) => [migration.name, migration]));
  const done = new Set<string>();
  for (const row of applied) {
    if (row.rolled_back_at !== null) continue;
    if (row.finished_at === null) {
      throw new MigrationError(
        `Migration ${row.migration_name} failed half-way${row.logs ? `: ${row.logs}` : ""}. ` +
          "Repair the database, then mark it with `prisma migrate resolve`, or start afresh with `bun run migrate:reset`.",
      );
    }
    const migration = known.get(row.migration_name);
    if (!migration) {
      throw new MigrationError(
        `The database has migration ${row.migration_name}, which this version does not know: a newer version ` +
          "migrated it. Deploy that version, or restore a backup.",
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationError(
        `Migration ${row.migration_name} was edited after it was applied. Restore the file as it was, and put ` +
          "the change into a new migration.",
      );
    }
    done.add(row.migration_name);
  }
  return present.filter((migration) => !done.has(migration.name));
}

async function readApplied(connection: mariadb.Connection): Promise<AppliedRow[]> {
  await connection.query(CREATE_TABLE);
  return connection.query<AppliedRow[]>(
    "SELECT migration_name, checksum, finished_at, rolled_back_at, logs FROM _prisma_migrations ORDER BY started_at",
  );
}

async function apply(connection: mariadb.Connection, migration: Migration): Promise<void> {
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
      `Migration ${migration.name} failed: ${sqlMessage ?? String(cause)}. MySQL cannot undo what it did before; ` +
        "repair the database, then `prisma migrate resolve`, or `bun run migrate:reset` where the data may go.",
      { cause },
    );
  }
  await connection.query(
    "UPDATE _prisma_migrations SET finished_at = NOW(3), applied_steps_count = 1 WHERE id = ?",
    [id],
  );
}

/**
 * Brings MySQL to the newest migration.
 * @param first what is done before, under the same lock
 * @returns the names of the migrations it applied
 * @throws MigrationError, with the migration's name and what to do
 */
export async function migrateMySql(
  databaseUrl: string,
  folder = "prisma/migrations",
  first: (connection: mariadb.Connection) => Promise<void> = async () => {},
): Promise<string[]> {
  const migrations = await readMigrations(folder);
  return withDeployLock(databaseUrl, async (connection) => {
    await first(connection);
    const pending = pendingMigrations(migrations, await readApplied(connection));
    for (const migration of pending) await apply(connection, migration);
    return pending.map((migration) => migration.name);
  });
}

/** Names of the migrations that are not applied yet. @throws MigrationError as `pendingMigrations` */
export async function missingMigrations(
  databaseUrl: string,
  folder = "prisma/migrations",
): Promise<string[]> {
  const connection = await mariadb.createConnection(mysqlOptions(databaseUrl));
  try {
    return pendingMigrations(await readMigrations(folder), await readApplied(connection)).map(
      ({ name }) => name,
    );
  } finally {
    await connection.end();
  }
}

/** Drops every table of the database that a connection is to. */
async function dropTables(connection: mariadb.Connection): Promise<void> {
  const tables = await connection.query<{ name: string }[]>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
  );
  await connection.query("SET foreign_key_checks = 0");
  for (const { name } of tables) await connection.query(`DROP TABLE ${connection.escapeId(name)}`);
  await connection.query("SET foreign_key_checks = 1");
}

async function main(words: string[]): Promise<number> {
  const command = COMMAND_WORDS.find((word) => word === words[0]);
  const { values } = readCommandLine(
    COMMANDS[command ? (`migrate:${command}` as const) : "migrate"],
    command ? words.slice(1) : words,
  );
  if (command === "reset") {
    const { confirm = [] } = values as { confirm?: string[] };
    await confirmErasing(process.env, confirm);
  }
  const config = parseConfig(process.env);
  await checkMySql(config.databaseUrl);
  if (command === "status") {
    const missing = await missingMigrations(config.databaseUrl);
    console.log(
      missing.length === 0 ? "Every migration is applied." : `Not applied yet:\n  ${missing.join("\n  ")}`,
    );
    return missing.length === 0 ? 0 : 1;
  }
  const mongo = connectMongo(config.mongodbUri, 5);
  try {
    await mongo.connection.asPromise();
    const advice = await checkMongo(mongo.connection);
    if (advice !== undefined) console.error(advice);
    const erase = async (connection: mariadb.Connection) => {
      await dropTables(connection);
      await mongo.connection.dropDatabase();
    };
    const applied = await migrateMySql(
      config.databaseUrl,
      undefined,
      command === "reset" ? erase : undefined,
    );
    const collections = await syncIndexes(mongo);
    const completed = await completeProducts(mongo);
    console.log(
      `MySQL: ${applied.length === 0 ? "nothing to apply" : `applied ${applied.join(", ")}`}. ` +
        `MongoDB: indexes of ${collections.length} collections in place` +
        `${completed === 0 ? "." : `, ${completed} products brought up to this version.`}`,
    );
    return 0;
  } finally {
    await mongo.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main(process.argv.slice(2)).catch((error: Error) => {
      console.error(error.message);
      return 1;
    }),
  );
}

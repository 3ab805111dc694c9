/**
 * The deploy step: applies `prisma/migrations` to MySQL and builds MongoDB's indexes, under a lock, so that
 * many containers may start at once. It records what it applied in `_prisma_migrations` exactly as Prisma
 * does (same columns, SHA-256 checksums), so `prisma migrate deploy|status|dev` agree with it wherever
 * Prisma's schema engine is available.
 *
 *   bun src/db/migrate.ts [--wait SECONDS]
 *                                  apply what is missing
 *   bun src/db/migrate.ts status   say what is applied and what is missing; exit 1 when something is missing
 *   bun src/db/migrate.ts resolve NAME --applied | --rolled-back
 *                                  say what became of a migration that failed half-way, as `prisma migrate resolve`
 *   bun src/db/migrate.ts reset    drop every table and collection first, when that is confirmed (confirm.ts)
 */
import type mariadb from "mariadb";
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { parseConfig } from "../config";
import { applyMissing } from "./apply-missing";
import { confirmErasing } from "./confirm";
import { withDeployLock } from "./deploy-lock";
import { MigrationError, missingMigrations, resolveMigration } from "./migrations";
import { connectMongo, whenConnected } from "./mongo";
import { checkMySql } from "./prisma";
import { checkMongo } from "./requirements";

/** What the program may be told to do instead of applying what is missing. */
const COMMAND_WORDS = ["status", "resolve", "reset"] as const;

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
  const { values, positionals } = readCommandLine(
    COMMANDS[command ? (`migrate:${command}` as const) : "migrate"],
    command ? words.slice(1) : words,
  );
  if (command === "reset") {
    const { confirm = [] } = values as { confirm?: string[] };
    await confirmErasing(process.env, confirm);
  }
  const config = parseConfig(process.env);
  await checkMySql(config.databaseUrl);
  if (command === "resolve") {
    const [name = ""] = positionals;
    const { applied = false, "rolled-back": rolledBack = false } = values as Record<string, boolean>;
    if (applied === rolledBack) throw new MigrationError("Say one of --applied and --rolled-back.");
    await resolveMigration(config.databaseUrl, name, applied ? "applied" : "rolled-back");
    console.log(
      `Migration ${name} counts as ${applied ? "applied" : "rolled back; `bun run migrate` applies it"}.`,
    );
    return 0;
  }
  if (command === "status") {
    const missing = await missingMigrations(config.databaseUrl);
    console.log(
      missing.length === 0 ? "Every migration is applied." : `Not applied yet:\n  ${missing.join("\n  ")}`,
    );
    return missing.length === 0 ? 0 : 1;
  }
  const { wait } = values as { wait?: string };
  const atMost = wait === undefined ? undefined : Number(wait);
  if (atMost !== undefined && !(atMost >= 0)) throw new MigrationError("--wait is a number of seconds.");
  const mongo = connectMongo(config.mongodbUri, 5, { patient: true });
  try {
    await whenConnected(mongo);
    const advice = await checkMongo(mongo.connection);
    if (advice !== undefined) console.error(advice);
    const { applied, collections, completed } = await withDeployLock(
      config.databaseUrl,
      async (connection) => {
        if (command === "reset") {
          await dropTables(connection);
          await mongo.connection.dropDatabase();
        }
        return applyMissing(connection, mongo);
      },
      { atMost },
    );
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

/**
 * The deploy step: applies `prisma/migrations` to MySQL and builds MongoDB's indexes, under a lock, so that
 * many containers may start at once. It records what it applied in `_prisma_migrations` exactly as Prisma
 * does (same columns, SHA-256 checksums), so `prisma migrate deploy|status|dev` agree with it wherever
 * Prisma's schema engine is available.
 *
 *   bun src/db/migrate.ts [--wait SECONDS]
 *                                  apply what is missing; only add, so that copies of an earlier version go on
 *   bun src/db/migrate.ts --drop-unused-indexes
 *                                  and drop the indexes of MongoDB that this version does not name
 *   bun src/db/migrate.ts --long-locks
 *                                  also where MongoDB keeps locks of killed processes for long
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
import { unusedIndexes } from "./indexes";
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

/** What is said of a database that a newer version migrated. */
const besideNewer = (newer: string[]): string =>
  `The database is newer than this version, which runs beside it: a newer one applied ${newer.join(", ")}.`;

/** Names the indexes of MongoDB that this version does not, and how they go. */
async function reportIndexes(mongodbUri: string): Promise<void> {
  const mongo = connectMongo(mongodbUri, 1);
  try {
    await whenConnected(mongo);
    const unused = await unusedIndexes(mongo);
    if (unused.length > 0)
      console.log(
        `Indexes that this version does not name:\n  ${unused.join("\n  ")}\n` +
          "Copies of an earlier version may use them. When none runs any more, `bun run migrate --drop-unused-indexes` " +
          "(`bun dist/src/db/migrate.js --drop-unused-indexes`) drops them.",
      );
  } finally {
    await mongo.close();
  }
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
    const { missing, newer } = await missingMigrations(config.databaseUrl);
    console.log(
      missing.length === 0 ? "Every migration is applied." : `Not applied yet:\n  ${missing.join("\n  ")}`,
    );
    if (newer.length > 0) console.log(besideNewer(newer));
    else await reportIndexes(config.mongodbUri);
    return missing.length === 0 ? 0 : 1;
  }
  const { wait, "drop-unused-indexes": dropUnused = false } = values as {
    wait?: string;
    "drop-unused-indexes"?: boolean;
  };
  const atMost = wait === undefined ? undefined : Number(wait);
  if (atMost !== undefined && !(atMost >= 0)) throw new MigrationError("--wait is a number of seconds.");
  const mongo = connectMongo(config.mongodbUri, 5, { patient: true });
  try {
    await whenConnected(mongo);
    const { "long-locks": longLocks = false } = values as { "long-locks"?: boolean };
    const advice = await checkMongo(mongo.connection, {
      migrates: true,
      shortLocks: config.environment === "production" && !longLocks,
    });
    if (advice !== undefined) console.error(advice);
    const { applied, newer, collections, completed } = await withDeployLock(
      config.databaseUrl,
      async (connection) => {
        if (command === "reset") {
          await dropTables(connection);
          await mongo.connection.dropDatabase();
        }
        return applyMissing(connection, mongo, dropUnused);
      },
      { atMost },
    );
    if (newer.length > 0) {
      console.log(`MySQL: nothing to apply. ${besideNewer(newer)} MongoDB: left as it is.`);
      if (!dropUnused) return 0;
      throw new MigrationError(
        "Refused: --drop-unused-indexes is for the newest version; it would drop its indexes.",
      );
    }
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

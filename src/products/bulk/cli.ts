/** What the commands `import` and `export` share. */

import { stat } from "node:fs/promises";
import { parseConfig } from "../../config";
import { withDeployLock } from "../../db/deploy-lock";
import { buildIndexes } from "../../db/indexes";
import { applyMigrations, lackingMigrations } from "../../db/migrations";
import { whenConnected } from "../../db/mongo";
import { checkMySql } from "../../db/prisma";
import { commandDeps } from "../../program";
import type { Deps } from "../../wire";
import { FORMATS, type Format } from "./shapes";

/** The format of a file: the one that was given, else its name decides. Nothing when there is no such format. */
export function formatOf(path: string, given: string | undefined): Format | undefined {
  if (given === undefined) return path.toLowerCase().endsWith(".csv") ? "csv" : "ndjson";
  return FORMATS.find((format) => format === given);
}

/** Size and time of a file, or why it cannot be read. */
export async function lookAt(path: string): Promise<{ size: number; changed: number } | { wrong: string }> {
  const info = await stat(path).catch((error: Error) => error);
  if (info instanceof Error) return { wrong: info.message };
  if (!info.isFile()) return { wrong: "it is not a file" };
  return { size: info.size, changed: info.mtimeMs };
}

/** Connects to databases that are up to date. */
export async function connect(env: Record<string, string | undefined>): Promise<Deps> {
  const config = parseConfig({ ...env, LOG_LEVEL: "warn" });
  await checkMySql(config.databaseUrl);
  const deps = await commandDeps(config);
  await whenConnected(deps.mongo);
  await withDeployLock(config.databaseUrl, async (connection) => {
    // Where nothing is missing, rights on rows are enough.
    if ((await lackingMigrations(connection)).length > 0) await applyMigrations(connection);
    await buildIndexes(deps.mongo);
  });
  return deps;
}

/** What the commands `import` and `export` share. */
import { stat } from "node:fs/promises";
import { parseConfig } from "../../config";
import { syncIndexes } from "../../db/indexes";
import { migrateMySql } from "../../db/migrate";
import { checkMySql } from "../../db/prisma";
import { createDeps, type Deps } from "../../deps";
import { createLogger } from "../../http/log";
import { FORMATS, type Format } from "./read";

/** The words of a command line. */
export interface Words {
  path: string | undefined;
  format: Format;
  flags: Set<string>;
}

/**
 * Reads `FILE [--format=ndjson|csv] [FLAG…]`; without a format the file's name decides.
 * @returns what is wrong with them when something is
 */
export function readWords(words: string[], allowed: string[]): Words | { wrong: string } {
  const flags = new Set(words.filter((word) => word.startsWith("--") && !word.startsWith("--format=")));
  const unknown = [...flags].find((flag) => !allowed.includes(flag));
  if (unknown !== undefined) return { wrong: `Unknown option ${unknown}.` };
  const paths = words.filter((word) => !word.startsWith("--"));
  if (paths.length > 1) return { wrong: "Name one file." };
  const named = words.find((word) => word.startsWith("--format="))?.slice("--format=".length);
  if (named !== undefined && !(FORMATS as readonly string[]).includes(named)) {
    return { wrong: `The format must be ${FORMATS.join(" or ")}.` };
  }
  const [path] = paths;
  const format = (named as Format | undefined) ?? (path?.toLowerCase().endsWith(".csv") ? "csv" : "ndjson");
  return { path, format, flags };
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
  await migrateMySql(config.databaseUrl);
  const deps = createDeps(config, await createLogger(config));
  await deps.mongo.connection.asPromise();
  await syncIndexes(deps.mongo);
  return deps;
}

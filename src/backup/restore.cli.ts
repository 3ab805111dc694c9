/** bun run restore FOLDER [--other-keys] — what `bun run backup` wrote, into empty databases and an empty STORAGE_DIR. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { type Config, parseConfig } from "../config";
import { applyMissing } from "../db/apply-missing";
import { withDeployLock } from "../db/deploy-lock";
import { readMigrations } from "../db/migrations";
import { connectMongo, type Mongo, whenConnected } from "../db/mongo";
import { checkMySql, withConnection } from "../db/prisma";
import { checkMongo } from "../db/requirements";
import { checkFiles, FILES } from "./file-list";
import { copyFiles, isForeign } from "./files";
import { BackupRefused, checkChecksums, type Manifest, missingKeys, readManifest } from "./manifest";
import { filledCollections, loadMongo } from "./mongo.store";
import { loadMySql, repeatErasures, tablesOf } from "./mysql.store";

/** How a place is emptied that a restore left half-filled. */
const START_AFRESH =
  "To start afresh after a restore that ended half-way, drop both databases, make MySQL's anew and empty STORAGE_DIR; " +
  "with compose.yaml `docker compose down --volumes` does that, and erases everything that is there.";

/** @throws BackupRefused where the backup does not fit here, or something is there already */
async function check(config: Config, mongo: Mongo, manifest: Manifest): Promise<void> {
  const known = new Set((await readMigrations("prisma/migrations")).map(({ name }) => name));
  const unknown = manifest.migrations.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new BackupRefused(`It is of a newer version (migration ${unknown}). Restore it with that one.`);
  const there = [
    ...(await withConnection(config.databaseUrl, tablesOf)).map((name) => `table ${name} in MySQL`),
    ...(await filledCollections(mongo)).map((name) => `documents in ${name} in MongoDB`),
  ];
  if (config.s3 === undefined && existsSync(config.storageDir)) {
    const names = (await readdir(config.storageDir)).filter((name) => !isForeign(name));
    there.push(...names.map((name) => `${name} in ${config.storageDir}`));
  }
  if (there.length > 0)
    throw new BackupRefused(
      `It is restored into an empty place only, and there is already ${there[0]}${there.length > 1 ? ` and ${there.length - 1} more` : ""}. ` +
        `Name new databases and another STORAGE_DIR. ${START_AFRESH}`,
    );
}

/** @throws Error when not every row or document is there */
function compare(what: string, wanted: Record<string, number>, found: Record<string, number>): void {
  const differing = Object.keys(wanted).filter((name) => wanted[name] !== found[name]);
  if (differing.length > 0)
    throw new Error(
      `${what} has not all of it: ${differing.map((name) => `${name} ${found[name]} of ${wanted[name]}`).join(", ")}.`,
    );
}

/** Fills the place, which is empty. @param lock as for `applyMissing` @returns what was done, in words */
async function fill(
  folder: string,
  manifest: Manifest,
  config: Config,
  mongo: Mongo,
  lock: Parameters<typeof applyMissing>[0],
): Promise<string> {
  compare("MySQL", manifest.tables, await loadMySql(config.databaseUrl, join(folder, "mysql.sql.gz")));
  const names = Object.keys(manifest.collections);
  compare("MongoDB", manifest.collections, await loadMongo(mongo, join(folder, "mongodb"), names));
  const copied = manifest.files !== null && config.s3 === undefined;
  if (copied) await copyFiles(join(folder, FILES), config.storageDir);
  const { applied, collections } = await applyMissing(lock, mongo);
  const erased = await repeatErasures(config.databaseUrl, manifest.mongoAt);
  return (
    `Restored ${Object.keys(manifest.tables).length} tables, ${names.length} collections and ${copied ? manifest.files : "no"} files, as of ${manifest.mongoAt}; ` +
    `${applied.length} later migrations, indexes of ${collections.length} collections, ${erased} erasures to repeat.` +
    (copied || manifest.files === null
      ? ""
      : ` Files are in S3 here: copy what is in ${join(folder, FILES)} into the bucket yourself.`)
  );
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(COMMANDS.restore);
  const [folder = ""] = positionals;
  const config = parseConfig(process.env);
  const manifest = await readManifest(folder);
  const lacking = missingKeys(manifest, config);
  if (lacking.length > 0 && !values["other-keys"])
    throw new BackupRefused(
      `This environment has not the secrets of the backup.\n  ${lacking.join("\n  ")}\n` +
        "Set them as they were, or say --other-keys.",
    );
  await checkChecksums(folder, manifest);
  if (!(await checkFiles(folder, manifest)))
    console.error(
      `This backup is of an earlier version, which noted no checksums of stored files: all ${manifest.files} are there, but whether one was changed cannot be told.`,
    );
  await checkMySql(config.databaseUrl);
  const mongo = connectMongo(config.mongodbUri, 5, { patient: true });
  try {
    await whenConnected(mongo);
    await checkMongo(mongo.connection, { migrates: true });
    const done = await withDeployLock(config.databaseUrl, async (lock) => {
      await check(config, mongo, manifest);
      return fill(folder, manifest, config, mongo, lock).catch((cause: Error) => {
        throw new Error(`${cause.message}\nWhat it wrote until then is there. ${START_AFRESH}`, { cause });
      });
    });
    console.log(done);
    return 0;
  } finally {
    await mongo.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(`Not restored: ${error.message}`);
      return 1;
    }),
  );
}

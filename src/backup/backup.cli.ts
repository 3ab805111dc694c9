/**
 * bun run backup FOLDER [--with-keys] — both databases and the stored files at one time, while the shop is open. See
 * docs/operations.md for what that means and how it is restored.
 */
import { existsSync, rmSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { type Config, parseConfig } from "../config";
import { withDeployLock } from "../db/deploy-lock";
import { connectMongo, whenConnected } from "../db/mongo";
import { checkMySql } from "../db/prisma";
import { FILE_LIST, FILES, listFiles } from "./file-list";
import { copyFiles } from "./files";
import { BackupRefused, checksumOf, keysOf, MANIFEST, newManifest } from "./manifest";
import { openMongoSnapshot } from "./mongo.store";
import { dumpMySql, openSnapshot } from "./mysql.store";

/** The secrets of the environment that the data was made under, as a file that `--env-file` reads. */
const SECRETS = ["JWT_SECRET", "JWT_SECRET_NEXT", "JWT_SECRET_PREVIOUS", "DATA_KEY"];

/**
 * Writes a backup into a folder. Files are copied before and after the moment that the databases are read at: what was
 * there then is in one of the two, or was removed. MongoDB is read before MySQL, so what MongoDB's jobs had still to
 * write to MySQL they do again after a restore; `repeatErasures` does the other way round.
 */
async function writeBackup(config: Config, folder: string, env: NodeJS.ProcessEnv | undefined) {
  const stored = config.s3 === undefined ? config.storageDir : undefined;
  const files = join(folder, FILES);
  const mongo = connectMongo(config.mongodbUri, 2, { patient: true });
  try {
    await whenConnected(mongo);
    if (stored !== undefined) await copyFiles(stored, files);
    // No migration changes a table meanwhile.
    const said = await withDeployLock(config.databaseUrl, async (connection) => {
      const snapshot = await openMongoSnapshot(mongo);
      try {
        const mysql = await openSnapshot(connection);
        await mkdir(join(folder, "mongodb"), { mode: 0o700 });
        const collections = await snapshot.dump(join(folder, "mongodb"));
        const tables = await dumpMySql(connection, join(folder, "mysql.sql.gz"));
        return { snapshot, mysql, collections, tables };
      } finally {
        await snapshot.close();
      }
    });
    if (stored !== undefined) await copyFiles(stored, files);
    const count = stored === undefined ? null : await listFiles(folder);
    const names = [
      "mysql.sql.gz",
      ...Object.keys(said.collections).map((name) => `mongodb/${name}.bson.gz`),
      ...(count === null ? [] : [FILE_LIST]),
    ];
    const checksums: Record<string, string> = {};
    for (const name of names) checksums[name] = await checksumOf(join(folder, name));
    const manifest = newManifest({
      mongoAt: said.snapshot.at.toISOString(),
      mysqlAt: said.mysql.at.toISOString(),
      tables: said.tables,
      collections: said.collections,
      migrations: said.mysql.migrations,
      files: count,
      checksums,
      keys: keysOf(config),
    });
    if (env !== undefined) {
      const lines = SECRETS.flatMap((name) => (env[name] ? [`${name}=${env[name]}\n`] : []));
      await writeFile(join(folder, "keys.env"), lines.join(""), { mode: 0o600, flush: true });
    }
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    await writeFile(join(folder, MANIFEST), text, { mode: 0o600, flush: true });
    return manifest;
  } finally {
    await mongo.close();
  }
}

const sum = (counts: Record<string, number>) =>
  Object.values(counts).reduce((total, count) => total + count, 0);

/**
 * Makes the folder that a backup is written in, and removes it when a signal ends this process.
 * @throws BackupRefused where there is one already
 */
async function makeDraft(draft: string): Promise<void> {
  await mkdir(draft, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    throw new BackupRefused(
      `${draft} is there: another backup writes it now, or one was killed. If none runs, remove it (rm -r ${draft}) and start again.`,
    );
  });
  const stop = (signal: "SIGHUP" | "SIGINT" | "SIGTERM") => {
    // What is being written at this moment may make a file in a folder that was just emptied.
    for (let tries = 0; existsSync(draft) && tries < 100; tries++) {
      try {
        rmSync(draft, { recursive: true, force: true });
      } catch {
        Bun.sleepSync(10);
      }
    }
    console.error(`No backup was made: ended by ${signal}.`);
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.once(signal, stop);
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(COMMANDS.backup);
  const [folder = ""] = positionals;
  const config = parseConfig(process.env);
  if (existsSync(folder)) throw new BackupRefused(`${folder} is there already. Name a new folder.`);
  await checkMySql(config.databaseUrl);
  // Beside its place and moved there, so that nobody takes half a backup for a whole one.
  const draft = `${folder.replace(/\/+$/, "")}.part`;
  await makeDraft(draft);
  try {
    const { tables, collections, files, mongoAt } = await writeBackup(
      config,
      draft,
      values["with-keys"] ? process.env : undefined,
    );
    await rename(draft, folder);
    console.log(
      `${folder}: ${sum(tables)} rows of MySQL, ${sum(collections)} documents of MongoDB, ` +
        `${files === null ? "no files (S3 keeps them)" : `${files} files`}, as of ${mongoAt}.` +
        `${values["with-keys"] ? "" : " JWT_SECRET and DATA_KEY are not in it: keep them elsewhere."}`,
    );
    return 0;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(`No backup was made: ${error.message}`);
      return 1;
    }),
  );
}

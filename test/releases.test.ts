/**
 * Two releases on the same databases: this checkout is the older one. The newer one is the same sources with further
 * migrations, and an index that the older one does not name.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { MongoClient } from "mongodb";
import { withConnection } from "../src/db/prisma";
import { withDatabase } from "./addresses";
import { createDatabase, dropWorkerDatabases } from "./databases";
import { type Program, type ServerProcess, startProgram } from "./processes";

const NEWER = "20990101000000_nicknames";
const CONTRACTED = `20990102000000_drop_user_words_needs_${NEWER.slice(0, 14)}`;

const name = `${new URL(process.env.DATABASE_URL ?? "").pathname.slice(1)}_releases`;
const databases = {
  databaseUrl: withDatabase(process.env.DATABASE_URL ?? "", name),
  mongodbUri: withDatabase(process.env.MONGODB_URI ?? "", name),
};
const env = { DATABASE_URL: databases.databaseUrl, MONGODB_URI: databases.mongodbUri };
const running = new Set<Program>();
/** Where the newer release's folder of migrations is. */
let home = "";
let client: MongoClient;

beforeAll(async () => {
  await createDatabase(databases);
  home = await mkdtemp(join(tmpdir(), "aizy-newer-"));
  await cp("prisma/migrations", join(home, "prisma/migrations"), { recursive: true });
  client = await MongoClient.connect(databases.mongodbUri);
});
afterAll(async () => {
  for (const program of running) await program.kill();
  await client.close();
  await dropWorkerDatabases(databases);
  await rm(home, { recursive: true });
});

const addMigration = async (migration: string, sql: string) => {
  await mkdir(join(home, "prisma/migrations", migration));
  await writeFile(join(home, "prisma/migrations", migration, "migration.sql"), sql);
};
/** A program of a release: migrations are read from the folder where it runs. */
const start = (folder: string, words: string[], added: Record<string, string> = {}): Program => {
  const [file = "", ...rest] = words;
  const program = startProgram([`--cwd=${folder}`, resolve(file), ...rest], { ...env, ...added });
  running.add(program);
  return program;
};
const run = async (folder: string, ...words: string[]): Promise<[code: number, output: string]> => {
  const program = start(folder, words);
  const code = await program.ended();
  return [code, program.output()];
};
const migrate = (folder: string, ...words: string[]) => run(folder, "src/db/migrate.ts", ...words);
const serve = async (folder: string): Promise<ServerProcess> => {
  const program = start(folder, ["src/index.ts"], {
    PORT: "0",
    LOG_LEVEL: "info",
    STORAGE_DIR: join(home, "files"),
  });
  const [, address = ""] = await program.line(/listening on (http:\/\/localhost:\d+)/);
  return { ...program, address };
};
let people = 0;
const register = async ({ address }: ServerProcess): Promise<number> => {
  const answer = await fetch(`${address}/auth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: `p${people++}@example.com`, password: "a long password", name: "Test" }),
  });
  return answer.status;
};

describe("an older release", () => {
  test("serves beside and after a newer one, and its migrate takes nothing away", async () => {
    expect(await migrate(".")).toEqual([0, expect.stringContaining("20261123180000_init")]);
    expect(await run(".", "prisma/seed.ts")).toEqual([0, expect.stringContaining("Roles in place")]);
    const old = await serve(".");
    expect(await register(old)).toBe(202);

    await addMigration(
      NEWER,
      "ALTER TABLE users ADD COLUMN nickname VARCHAR(20) NULL; CREATE INDEX users_nickname_idx ON users(nickname);",
    );
    expect(await migrate(home)).toEqual([0, expect.stringContaining(`applied ${NEWER}`)]);
    const products = client.db().collection("products");
    await products.createIndex({ ofTheNewerVersion: 1 });
    const newer = await serve(home);
    expect([await register(old), await register(newer)]).toEqual([202, 202]);
    await newer.kill("SIGTERM");
    await old.kill("SIGTERM");

    // Taken back, in the steps of compose.yaml.
    expect(await migrate(".")).toEqual([
      0,
      `MySQL: nothing to apply. The database is newer than this version, which runs beside it: a newer one applied ${NEWER}. MongoDB: left as it is.\n`,
    ]);
    expect(await migrate(".", "status")).toEqual([
      0,
      expect.stringContaining(`a newer one applied ${NEWER}`),
    ]);
    expect(await run(".", "prisma/seed.ts")).toEqual([0, expect.stringContaining("Roles in place")]);
    const back = await serve(".");
    expect(await register(back)).toBe(202);
    await back.kill("SIGTERM");
    const indexes = async () => (await products.indexes()).map((index) => index.name);
    expect(await indexes()).toContain("ofTheNewerVersion_1");

    // Not even when it is told to: it cannot know what the newer one uses.
    expect(await migrate(".", "--drop-unused-indexes")).toEqual([
      1,
      expect.stringContaining("--drop-unused-indexes is for the newest version"),
    ]);
    expect(await indexes()).toContain("ofTheNewerVersion_1");
    expect(await migrate(home, "status")).toEqual([
      0,
      expect.stringContaining("\n  products.ofTheNewerVersion_1\n"),
    ]);
    expect(await migrate(home, "--drop-unused-indexes")).toEqual([
      0,
      expect.stringContaining("nothing to apply"),
    ]);
    expect(await indexes()).not.toContain("ofTheNewerVersion_1");
  }, 180_000);

  test("says that it cannot run beside one that took away what it uses, and changes nothing", async () => {
    await addMigration(CONTRACTED, "DROP TABLE user_words;");
    expect(await migrate(home)).toEqual([0, expect.stringContaining(`applied ${CONTRACTED}`)]);
    const why = `The database has migration ${CONTRACTED} of a newer version, which took away what this one uses: only versions that know migration ${NEWER.slice(0, 14)} run on it. Start such a version, or restore a backup from before.\n`;
    for (const words of [["src/db/migrate.ts"], ["src/db/migrate.ts", "status"], ["src/index.ts"]])
      expect([words, await run(".", ...words)]).toEqual([words, [1, why]]);
    const tables = await withConnection(databases.databaseUrl, (connection) =>
      connection.query<unknown[]>("SHOW TABLES LIKE 'user_words'"),
    );
    expect(tables).toEqual([]);
  }, 60_000);
});

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mariadb from "mariadb";
import { MongoClient } from "mongodb";
import { mysqlOptions } from "../src/db/prisma";
import { withDatabase } from "./addresses";
import { startProgram } from "./processes";

const { DATABASE_URL = "", MONGODB_URI = "" } = process.env;

/** The test databases of a process that exist on the two servers. */
async function databasesOf(pid: number): Promise<string[]> {
  const name = `aizy_test_${pid}`;
  const connection = await mariadb.createConnection(mysqlOptions(DATABASE_URL));
  const client = await MongoClient.connect(MONGODB_URI);
  try {
    const rows = await connection.query<{ name: string }[]>(
      "SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name = ?",
      [name],
    );
    const { databases } = await client.db("admin").admin().listDatabases({ nameOnly: true });
    return [
      ...rows.map(() => "MySQL"),
      ...databases.filter((database) => database.name === name).map(() => "MongoDB"),
    ];
  } finally {
    await client.close();
    await connection.end();
  }
}

/** `bun test` on one small file, as a run of its own beside this one. */
async function testRun(body: string) {
  const folder = await mkdtemp(join(tmpdir(), "aizy-run-"));
  folders.push(folder);
  await writeFile(
    join(folder, "one.test.ts"),
    `import { test } from "bun:test";\ntest("one", async () => { console.log("worker", process.pid, process.env.DATABASE_URL); ${body} }, 60_000);\n`,
  );
  return startProgram(["test", join(folder, "one.test.ts")], {
    DATABASE_URL: withDatabase(DATABASE_URL, "aizy_users"),
    MONGODB_URI: withDatabase(MONGODB_URI, "aizy"),
    AIZY_TEST_WORKERS: undefined,
  });
}
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

describe("a test run's databases", () => {
  test("belong to its process, and are gone when it ends or, after kill -9, when the next one starts", async () => {
    const killed = await testRun("await new Promise(() => setInterval(() => undefined, 1000));");
    const [, pid = "", url = ""] = await killed.line(/worker (\d+) (\S+)/);
    expect(Number(pid)).not.toBe(process.pid);
    expect(new URL(url).pathname).toBe(`/aizy_test_${pid}`);
    expect(await databasesOf(Number(pid))).toEqual(["MySQL", "MongoDB"]);
    await killed.kill("SIGKILL");
    expect(await databasesOf(Number(pid))).toEqual(["MySQL", "MongoDB"]);

    const next = await testRun("");
    const [, nextPid = ""] = await next.line(/worker (\d+) /);
    expect(await next.ended()).toBe(0);
    expect(await databasesOf(Number(pid))).toEqual([]);
    expect(await databasesOf(Number(nextPid))).toEqual([]);
    // The run that is alive, this one, kept its own.
    expect(await databasesOf(process.pid)).toEqual(["MySQL", "MongoDB"]);
  }, 180_000);
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import mariadb from "mariadb";
import { startProgram } from "../../test/processes";
import {
  lackingMigrations,
  MigrationError,
  migrateMySql,
  missingMigrations,
  readMigrations,
  resolveMigration,
} from "./migrations";
import { mysqlOptions, withConnection } from "./prisma";
import { splitStatements } from "./sql-script";

const url = new URL(process.env.DATABASE_URL ?? "");
url.pathname = `${url.pathname}_migrate`;
const databaseUrl = url.href;
let server: mariadb.Connection;
let folder = "";

beforeAll(async () => {
  server = await mariadb.createConnection({ ...mysqlOptions(databaseUrl), database: undefined });
});
beforeEach(async () => {
  const name = server.escapeId(url.pathname.slice(1));
  await server.query(`DROP DATABASE IF EXISTS ${name}`);
  await server.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
  await server.query(`USE ${name}`);
  if (folder) await rm(folder, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), "aizy-migrations-"));
});
afterAll(async () => {
  await server.query(`DROP DATABASE IF EXISTS ${server.escapeId(url.pathname.slice(1))}`);
  await server.end();
  await rm(folder, { recursive: true, force: true });
});

const add = async (name: string, sql: string) => {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "migration.sql"), sql);
};
const lacking = () => withConnection(databaseUrl, (connection) => lackingMigrations(connection, folder));
const migrate = async () => (await migrateMySql(databaseUrl, folder)).applied;
const missing = async () => (await missingMigrations(databaseUrl, folder)).missing;
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => "nothing was refused",
    (error) => {
      if (!(error instanceof MigrationError)) throw error;
      return error.message;
    },
  );

describe("the deploy step", () => {
  test("applies in order, once, and records as Prisma does", async () => {
    await add("20260102000000_second", "ALTER TABLE a ADD COLUMN b INT;");
    await add(
      "20260101000000_first",
      "-- the first\nCREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);",
    );
    expect(await missing()).toEqual(["20260101000000_first", "20260102000000_second"]);
    expect(await migrate()).toEqual(["20260101000000_first", "20260102000000_second"]);
    expect(await migrate()).toEqual([]);
    expect(await missing()).toEqual([]);
    const rows = await server.query<Record<string, unknown>[]>(
      "SELECT * FROM _prisma_migrations ORDER BY migration_name",
    );
    const [first] = await readMigrations(folder);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatchObject({
      migration_name: "20260101000000_first",
      checksum: first?.checksum,
      applied_steps_count: 1,
      logs: null,
      rolled_back_at: null,
    });
    expect(rows[0]?.finished_at).toBeInstanceOf(Date);
  });

  test("the checksum is Prisma's: SHA-256 of the file's bytes", async () => {
    await add("20260101000000_first", "SELECT 1;\n");
    const [migration] = await readMigrations(folder);
    expect(migration?.checksum).toBe(new Bun.CryptoHasher("sha256").update("SELECT 1;\n").digest("hex"));
  });

  test("a migration edited after it was applied is refused by its name, and nothing else is applied", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY);");
    await migrate();
    await appendFile(join(folder, "20260101000000_first", "migration.sql"), " ");
    await add("20260102000000_second", "CREATE TABLE b (id INT PRIMARY KEY);");
    expect(await refusal(migrate())).toContain("20260101000000_first was edited after it was applied");
    expect(await server.query("SHOW TABLES LIKE 'b'")).toEqual([]);
  });

  test("a database that a newer version migrated has nothing for this one to apply", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY);");
    await add("20990101000000_future", "CREATE TABLE b (id INT PRIMARY KEY);");
    await migrate();
    await rm(join(folder, "20990101000000_future"), { recursive: true });
    const newer = ["20990101000000_future"];
    expect(await migrateMySql(databaseUrl, folder)).toEqual({ applied: [], newer });
    expect(await missingMigrations(databaseUrl, folder)).toEqual({ missing: [], newer });
    expect(await lacking()).toEqual([]);
    // Of two branches that know nothing of each other, neither runs on what both changed.
    await add("20260102000000_other", "CREATE TABLE c (id INT PRIMARY KEY);");
    const refused = await refusal(migrate());
    expect(refused).toContain("20990101000000_future, which this version does not know");
    expect(refused).toContain("lacks 20260102000000_other");
    expect(await server.query("SHOW TABLES LIKE 'c'")).toEqual([]);
  });

  test("a newer version that took something away is run beside only by those that do without it", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY, b INT);");
    await add("20260102000000_does_without_b", "DO 1;");
    await add("20260103000000_drop_b_needs_20260102000000", "ALTER TABLE a DROP COLUMN b;");
    await migrate();
    await rm(join(folder, "20260103000000_drop_b_needs_20260102000000"), { recursive: true });
    expect((await migrateMySql(databaseUrl, folder)).applied).toEqual([]);
    expect(await lacking()).toEqual([]);
    await rm(join(folder, "20260102000000_does_without_b"), { recursive: true });
    for (const work of [migrate, missing, lacking])
      expect(await refusal(work())).toContain(
        "20260103000000_drop_b_needs_20260102000000 of a newer version, which took away what this one uses: only " +
          "versions that know migration 20260102000000 run on it",
      );
  });

  test("one that failed half-way is told, with MySQL's reason, and blocks until it is resolved", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY); CREATE TABEL b (id INT);");
    expect(await refusal(migrate())).toMatch(/20260101000000_first failed: .*syntax/);
    expect(await refusal(migrate())).toContain("20260101000000_first failed half-way");
    // What `prisma migrate resolve --rolled-back` writes.
    await server.query("UPDATE _prisma_migrations SET rolled_back_at = NOW(3)");
    await server.query("DROP TABLE a");
    await writeFile(
      join(folder, "20260101000000_first", "migration.sql"),
      "CREATE TABLE a (id INT PRIMARY KEY);",
    );
    expect(await migrate()).toEqual(["20260101000000_first"]);
  });

  test("one that failed is resolved without Prisma: applied again, or counted as applied", async () => {
    await add("1_half", "CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE a (id INT PRIMARY KEY);");
    expect(await lacking()).toEqual(["1_half"]);
    expect(await refusal(migrate())).toContain("migrate.js resolve 1_half");
    expect(await lacking()).toEqual(["1_half"]);
    const resolve = (name: string, as: "applied" | "rolled-back") =>
      refusal(resolveMigration(databaseUrl, name, as, folder));
    expect(await resolve("2_none", "applied")).toContain("There is no migration 2_none");
    // Repaired by taking back what it did, and by mending the file that nobody has applied whole.
    await server.query("DROP TABLE a");
    expect(await resolve("1_half", "rolled-back")).toBe("nothing was refused");
    expect(await resolve("1_half", "rolled-back")).toContain("has not failed");
    await writeFile(join(folder, "1_half", "migration.sql"), "CREATE TABLE a (id INT PRIMARY KEY)");
    expect(await migrate()).toEqual(["1_half"]);
    expect(await resolve("1_half", "applied")).toContain("is applied");
    await add("2_rest", "CREATE TABLE b (id INT); CREATE TABLE a (id INT);");
    expect(await refusal(migrate())).toContain("2_rest failed");
    expect(await resolve("2_rest", "applied")).toBe("nothing was refused");
    expect(await migrate()).toEqual([]);
    expect(await lacking()).toEqual([]);
    // What a newer version applied is no reason for this one not to start.
    await rm(join(folder, "2_rest"), { recursive: true });
    expect(await lacking()).toEqual([]);
  });

  test("a folder without its file is named", async () => {
    await mkdir(join(folder, "20260101000000_empty"));
    expect(await refusal(migrate())).toContain("20260101000000_empty has no migration.sql");
  });

  test("many processes at once: each migration is applied once", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY); DO SLEEP(0.3);");
    await add("20260102000000_second", "CREATE TABLE b (id INT PRIMARY KEY);");
    const script = `import { migrateMySql } from ${JSON.stringify(join(import.meta.dir, "migrations.ts"))};
      console.log(JSON.stringify((await migrateMySql(${JSON.stringify(databaseUrl)}, ${JSON.stringify(folder)})).applied));`;
    const programs = Array.from({ length: 4 }, () => startProgram(["-e", script]));
    const codes = await Promise.all(programs.map((program) => program.ended()));
    expect(codes).toEqual([0, 0, 0, 0]);
    const applied = programs.flatMap((program) => JSON.parse(program.output()) as string[]);
    expect(applied.sort()).toEqual(["20260101000000_first", "20260102000000_second"]);
  }, 60_000);

  test("who may only read is told what is missing, before there is anything and after", async () => {
    await add("20260101000000_first", "CREATE TABLE a (id INT PRIMARY KEY);");
    const [user, name] = [`aizy_t${process.pid}r`, server.escapeId(url.pathname.slice(1))];
    await server.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'abc123'`);
    try {
      await server.query(`GRANT SELECT ON ${name}.* TO '${user}'@'%'`);
      const reader = new URL(databaseUrl);
      reader.username = user;
      reader.password = "abc123";
      reader.searchParams.set("allowPublicKeyRetrieval", "true");
      expect((await missingMigrations(reader.href, folder)).missing).toEqual(["20260101000000_first"]);
      await migrate();
      expect((await missingMigrations(reader.href, folder)).missing).toEqual([]);
    } finally {
      await server.query(`DROP USER '${user}'@'%'`);
    }
  });

  test("the project's own migrations apply to an empty database", async () => {
    await rm(folder, { recursive: true });
    await cp("prisma/migrations", folder, { recursive: true });
    const applied = await migrate();
    expect(applied.length).toBeGreaterThan(0);
    expect(applied).toEqual([...applied].sort());
  });
});

describe("splitStatements", () => {
  test("cuts at semicolons outside quotes and comments", () => {
    const script = [
      "CREATE TABLE a (b VARCHAR(9) DEFAULT ';' COMMENT 'it''s; \\' fine');",
      "-- a; comment",
      "# another;",
      '/* a block; of */ INSERT INTO `we;ird` VALUES ("x;", 1-- 2;',
      ");",
      "SELECT 3 - 1;;",
      "/*!50000 SELECT 4 */",
    ].join("\n");
    expect(splitStatements(script).map((text) => text.replace(/\s+/g, " "))).toEqual([
      "CREATE TABLE a (b VARCHAR(9) DEFAULT ';' COMMENT 'it''s; \\' fine')",
      'INSERT INTO `we;ird` VALUES ("x;", 1 )',
      "SELECT 3 - 1",
      "/*!50000 SELECT 4 */",
    ]);
  });

  test("gives back any statements that were joined", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const quoted = text.map((inner) => `'${inner.replace(/\\/g, "\\\\").replace(/'/g, "''")}'`);
    const statement = fc
      .array(quoted, { minLength: 1, maxLength: 4 })
      .map((parts) => `SELECT ${parts.join(" + ")}`);
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 6 }), (statements) => {
        expect(splitStatements(statements.join(";\n"))).toEqual(statements);
      }),
    );
  });
});

/** Migrations only add, so that copies of the version before run beside them; one that does not says so in its name. */
import { describe, expect, test } from "bun:test";
import { readMigrations } from "../src/db/migrations";
import { splitStatements } from "../src/db/sql-script";

/** The last migration of before the first release: nobody ran a version beside it. */
const FIRST_RELEASE = "20261130080000_job_origin";

/** Cuts at commas outside parentheses and quotes. */
function clausesOf(text: string): string[] {
  const clauses = [""];
  let depth = 0;
  for (const [part] of text.matchAll(/'(?:[^']|'')*'|[^']/g)) {
    if (part === "(") depth++;
    if (part === ")") depth--;
    if (part === "," && depth === 0) clauses.push("");
    else clauses.push(`${clauses.pop()}${part}`);
  }
  return clauses.map((clause) => clause.trim());
}

/** Whether an old copy, which does not know the column, can go on writing rows. */
const isAddition = (clause: string): boolean =>
  /^ADD (INDEX|KEY) /i.test(clause) ||
  (/^ADD COLUMN /i.test(clause) &&
    (!/NOT NULL/i.test(clause) || / DEFAULT | GENERATED ALWAYS AS /i.test(clause)) &&
    !/\bUNIQUE\b/i.test(clause));

/**
 * The statements of a migration that are not known to let old copies go on: they take away, narrow, rename, or refuse
 * what an old copy writes.
 */
function takesAway(sql: string): string[] {
  const made = new Set<string | undefined>();
  return splitStatements(sql).filter((statement) => {
    const text = statement.replace(/\s+/g, " ");
    const [, table] =
      /^(?:CREATE TABLE(?: IF NOT EXISTS)?|ALTER TABLE|CREATE UNIQUE INDEX \S+ ON) `?(\w+)/i.exec(text) ?? [];
    if (/^CREATE TABLE /i.test(text)) made.add(table);
    if (made.has(table) || /^(INSERT|UPDATE|CREATE INDEX|DO) ?/i.test(text)) return false;
    const [, changes] = /^ALTER TABLE \S+ (.*)$/i.exec(text) ?? [];
    return changes === undefined || !clausesOf(changes).every(isAddition);
  });
}

describe("what a migration takes away", () => {
  test.each([
    "CREATE TABLE a (id INT NOT NULL); CREATE UNIQUE INDEX b ON a(id); ALTER TABLE `a` ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES d(id)",
    "ALTER TABLE a ADD COLUMN b INT NULL, ADD COLUMN c VARCHAR(9) NOT NULL DEFAULT 'x, y', ADD INDEX d (b, c)",
    "ALTER TABLE a ADD COLUMN b INT GENERATED ALWAYS AS (COALESCE(c, 1)) STORED NOT NULL",
    "CREATE INDEX a ON b(c); UPDATE a SET b = 1; INSERT INTO a VALUES (1)",
  ])("nothing: %s", (sql) => expect(takesAway(sql)).toEqual([]));

  test.each([
    "DROP TABLE a",
    "ALTER TABLE a DROP COLUMN b",
    "ALTER TABLE a ADD COLUMN b INT NULL, DROP INDEX c",
    "ALTER TABLE a RENAME COLUMN b TO c",
    "RENAME TABLE a TO b",
    "ALTER TABLE a MODIFY b VARCHAR(3) NULL",
    "ALTER TABLE a ADD COLUMN b INT NOT NULL",
    "ALTER TABLE a ADD COLUMN b INT NULL UNIQUE",
    "ALTER TABLE a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES d(e)",
    "CREATE UNIQUE INDEX a ON b(c)",
    "DROP INDEX a ON b",
    "DELETE FROM a",
  ])("something: %s", (sql) => expect(takesAway(sql)).toHaveLength(1));
});

test("a migration that takes something away is named by the one from which on versions do without it", async () => {
  const migrations = await readMigrations("prisma/migrations");
  const names = migrations.map(({ name }) => name);
  expect(names).toContain(FIRST_RELEASE);
  for (const { name, sql } of migrations.filter((one) => one.name > FIRST_RELEASE)) {
    const [, needed] = /_needs_(\d{14})$/.exec(name) ?? [];
    if (needed === undefined)
      expect([
        name,
        "rename it to <time stamp>_<name>_needs_<time stamp>: see CONTRIBUTING.md",
        takesAway(sql),
      ]).toEqual([name, expect.any(String), []]);
    else
      expect([name, names.some((one) => one < name && one.startsWith(`${needed}_`))]).toEqual([name, true]);
  }
});

import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import mariadb from "mariadb";
import { migrateMySql } from "../src/db/migrations";
import { mysqlOptions } from "../src/db/prisma";
import { checkDatabase } from "./check";

const schema = await readFile("prisma/schema.prisma", "utf8");

/** A migrated database of this test's own, changed by `statements`, and what the check says of it. */
async function checkAfter(...statements: string[]): Promise<string[]> {
  const url = new URL(process.env.DATABASE_URL ?? "");
  url.pathname = `${url.pathname}_drift`;
  const server = await mariadb.createConnection({ ...mysqlOptions(url.href), database: undefined });
  const name = server.escapeId(url.pathname.slice(1));
  try {
    await server.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    await migrateMySql(url.href);
    await server.query(`USE ${name}`);
    for (const statement of statements) await server.query(statement);
    return await checkDatabase(url.href, schema);
  } finally {
    await server.query(`DROP DATABASE IF EXISTS ${name}`);
    await server.end();
  }
}

describe("db:check", () => {
  test("the migrations make what schema.prisma says", async () => {
    expect(await checkAfter()).toEqual([]);
  });

  test("names every kind of difference", async () => {
    const found = await checkAfter(
      "ALTER TABLE users ADD COLUMN nickname VARCHAR(10) NULL",
      "ALTER TABLE users MODIFY name VARCHAR(100) CHARACTER SET utf8mb4 NULL",
      "ALTER TABLE users MODIFY version INT NOT NULL DEFAULT 7",
      "ALTER TABLE users DROP INDEX users_created_at_id_idx",
      "ALTER TABLE users MODIFY email_canonical VARCHAR(254) COLLATE utf8mb4_0900_ai_ci NOT NULL",
      "ALTER TABLE sessions DROP FOREIGN KEY sessions_user_id_fkey",
      "CREATE TABLE stray (id INT PRIMARY KEY)",
    );
    expect(found.sort()).toEqual(
      [
        "table: stray is not in schema.prisma",
        "users, column: nickname is not in schema.prisma",
        'users.name: schema.prisma says "varchar(200) not null", the database "varchar(100) null"',
        'users.version: schema.prisma says "int not null default 1", the database "int not null default 7"',
        "users: index (created_at, id) is missing in the database",
        "users.email_canonical: a key of collation utf8mb4_0900_ai_ci; it must be a binary one",
        "sessions, foreign key: (user_id) → users (id) on delete cascade on update cascade is missing in the database",
      ].sort(),
    );
  });

  test("a schema that cannot be read is an error, not agreement", async () => {
    await expect(checkDatabase(process.env.DATABASE_URL ?? "", "model {")).rejects.toThrow("cannot be read");
  });
});

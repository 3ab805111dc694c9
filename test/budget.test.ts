import { describe, expect, test } from "bun:test";
import mariadb from "mariadb";
import { MongoClient } from "mongodb";
import { mysqlOptions } from "../src/db/prisma";

/** Test files that run at once, at most (`bun test --parallel` on a machine of 8 cores). */
const WORKERS = 8;
/** Applications of one worker at once: its own, and two server processes in tests of races. */
const APPLICATIONS = 3;
/** What test/app.ts gives an application, and the few connections that tests open by hand. */
const MYSQL_POOL = 8 + 4;
const MONGODB_POOL = 16 + 4;

describe("connections", () => {
  test("workers × pools fit what both servers let in", async () => {
    const connection = await mariadb.createConnection(mysqlOptions(process.env.DATABASE_URL ?? ""));
    const [row] = await connection.query<{ most: bigint | number }[]>("SELECT @@max_connections AS most");
    await connection.end();
    expect(WORKERS * APPLICATIONS * MYSQL_POOL).toBeLessThanOrEqual(Number(row?.most));

    // The gateway shares its engine's connections out among any number of clients; MongoDB counts its own.
    const wanted = WORKERS * APPLICATIONS * MONGODB_POOL;
    const clients = await Promise.all(
      Array.from({ length: 10 }, () =>
        MongoClient.connect(process.env.MONGODB_URI ?? "", {
          minPoolSize: wanted / 10,
          maxPoolSize: wanted / 10,
        }),
      ),
    );
    const answers = await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: wanted / 10 }, () => client.db("admin").command({ ping: 1 })),
      ),
    );
    expect(answers.every(({ ok }) => ok === 1)).toBe(true);
    for (const client of clients) await client.close();
  }, 60_000);
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import mariadb from "mariadb";
import { MongoClient } from "mongodb";
import { databaseOf, withDatabase } from "../../test/addresses";
import { startProgram } from "../../test/processes";
import { confirmErasing, NotConfirmed } from "./confirm";
import { mysqlOptions } from "./prisma";

const MYSQL = "mysql://ann:secret@db.example.com:3306/shop%2Dusers?ssl=true";
const MONGO = "mongodb+srv://ann:secret@a.example.com:1,b.example.com:2/shop?replicaSet=rs0";
const STRANGERS = { DATABASE_URL: MYSQL, MONGODB_URI: MONGO };

const refusal = (env: Record<string, string>, ...confirmed: string[]) =>
  confirmErasing(env, confirmed).then(
    () => "went on",
    (error) => {
      if (!(error instanceof NotConfirmed)) throw error;
      return error.message;
    },
  );

describe("before data is erased", () => {
  test("every database that is not this checkout's own has to be named, and nothing else", async () => {
    const message = await refusal(STRANGERS);
    expect(message).toContain("MySQL database shop-users at db.example.com:3306");
    expect(message).toContain("MongoDB database shop at a.example.com:1,b.example.com:2");
    expect(message).toContain("--confirm shop-users --confirm shop");
    expect(message).not.toContain("secret");
    for (const names of [["shop"], ["shop-users"], ["shop-users", "shop", "third"], ["SHOP", "shop-users"]]) {
      expect(await refusal(STRANGERS, ...names)).toContain("Nothing was changed");
    }
    expect(await refusal(STRANGERS, "shop", "shop-users")).toBe("went on");
    // MongoDB's drivers take `test` where none is named.
    expect(await refusal({ ...STRANGERS, MONGODB_URI: "mongodb://h:1" }, "shop-users", "test")).toBe(
      "went on",
    );
    expect(await refusal({ DATABASE_URL: "mysql://h/one", MONGODB_URI: "mongodb://h/one?x=/y" }, "one")).toBe(
      "went on",
    );
  });

  test("this checkout's own need no name, but a wrong one stops it; what is set beside them is a stranger", async () => {
    const own = { ...STRANGERS, AIZY_OWN_DATABASES: `${MYSQL} ${MONGO}` };
    expect(await refusal(own)).toBe("went on");
    expect(await refusal(own, "aizy")).toContain('"aizy" is not what would be erased');
    expect(await refusal({ ...own, DATABASE_URL: "mysql://h/live" })).toContain("--confirm live");
    expect(await refusal({ ...own, DATABASE_URL: "mysql://h/live" }, "live")).toBe("went on");
  });

  test("never in production", async () => {
    const own = { ...STRANGERS, AIZY_OWN_DATABASES: `${MYSQL} ${MONGO}`, NODE_ENV: "production" };
    expect(await refusal(own, "shop", "shop-users")).toContain("NODE_ENV is production");
  });
});

describe("migrate reset", () => {
  const { DATABASE_URL = "", MONGODB_URI = "" } = process.env;
  const name = `${databaseOf(DATABASE_URL)}_reset`;
  const env = {
    DATABASE_URL: withDatabase(DATABASE_URL, name),
    MONGODB_URI: withDatabase(MONGODB_URI, name),
  };
  let connection: mariadb.Connection;
  let client: MongoClient;
  beforeAll(async () => {
    connection = await mariadb.createConnection({ ...mysqlOptions(env.DATABASE_URL), database: undefined });
    client = await MongoClient.connect(env.MONGODB_URI);
  });
  afterAll(async () => {
    await connection.query(`DROP DATABASE IF EXISTS ${connection.escapeId(name)}`);
    await client.db().dropDatabase();
    await client.close();
    await connection.end();
  });

  const fill = async () => {
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${connection.escapeId(name)}`);
    await connection.query(`CREATE TABLE IF NOT EXISTS ${connection.escapeId(name)}.precious (id INT)`);
    await client.db().collection("precious").insertOne({});
  };
  const isThere = async () => ({
    mysql:
      (await connection.query(`SHOW TABLES FROM ${connection.escapeId(name)} LIKE 'precious'`)).length === 1,
    mongo: (await client.db().collection("precious").countDocuments()) > 0,
  });
  const reset = (...words: string[]) => startProgram(["src/db/migrate.ts", "reset", ...words], env);

  test("without a terminal and without the name changes nothing; with it, both are made anew", async () => {
    await fill();
    for (const words of [[], ["--confirm", "aizy_users"]]) {
      const refused = reset(...words);
      expect(await refused.ended()).toBe(1);
      expect(await isThere()).toEqual({ mysql: true, mongo: true });
    }
    const done = reset("--confirm", name);
    expect([await done.ended(), done.output()]).toEqual([0, expect.stringContaining("applied ")]);
    expect(await isThere()).toEqual({ mysql: false, mongo: false });
  }, 120_000);

  test("on a terminal it asks for both names; another answer, Ctrl-C or Ctrl-D changes nothing", async () => {
    await fill();
    for (const answers of [["yes\r"], [`${name}\r`, "no\r"], ["\x03"], ["\x04"]]) {
      let shown = "";
      let asked = 0;
      const child = Bun.spawn([process.execPath, "src/db/migrate.ts", "reset"], {
        env: { ...process.env, ...env },
        terminal: {
          data(terminal, bytes) {
            shown += new TextDecoder().decode(bytes);
            const questions = shown.split("Type its name: ").length - 1;
            if (questions > asked) terminal.write(answers[asked++] ?? "\r");
          },
        },
      });
      expect([answers, await child.exited]).toEqual([answers, 1]);
      expect(shown).toContain(`ERASES the MySQL database ${name} at `);
      expect(await isThere()).toEqual({ mysql: true, mongo: true });
    }
  }, 120_000);
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import mariadb from "mariadb";
import * as driver from "mongodb";
import { useTestApp } from "../../test/app";
import { eventually } from "../../test/processes";
import { isCommand, isStatement, mongoAnswer, mySqlError, startProxy } from "../../test/proxy";
import { type AppType, createApp } from "../app";
import { silentLogger } from "../telemetry/log";
import type { Deps } from "../wire";
import { createDeps } from "../wire";
import { mysqlOptions } from "./prisma";
import { isUnavailable, MONGO_CODES, MONGO_ERRORS, MYSQL_CODES, SOCKET_CODES } from "./unavailable";

const t = useTestApp();
let mysql: Awaited<ReturnType<typeof startProxy>>;
let mongo: typeof mysql;
let deps: Deps;
let app: AppType;
beforeAll(async () => {
  const { config } = t.deps;
  mysql = await startProxy(config.databaseUrl);
  mongo = await startProxy(config.mongodbUri);
  const through = { databaseUrl: mysql.url(config.databaseUrl), mongodbUri: mongo.url(config.mongodbUri) };
  deps = createDeps({ ...config, ...through, databasePool: 3, mongodbPool: 4 }, silentLogger());
  app = createApp(deps);
  await deps.mongo.connection.asPromise();
});
afterAll(async () => {
  await deps.close();
  await Promise.all([mysql.close(), mongo.close()]);
});

const post = (path: string, body: object) =>
  app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const signIn = () => post("/auth/login", { email: "nobody@example.com", password: "a long password" });
const products = () => app.request("/api/products");
const record = () =>
  post("/api/analytics/events", {
    batch: [{ type: "track", event: "Looked", anonymousId: "a", messageId: deps.random.id() }],
  });

/** 503 with the time to wait, and nothing of the cause. */
async function expectAway(answer: Response, what: string) {
  const { code } = (await answer.json()) as { code: string };
  const after = answer.headers.get("retry-after");
  expect([what, answer.status, code, after]).toEqual([
    what,
    503,
    "service_unavailable",
    expect.stringMatching(/^[1-9]$/),
  ]);
}
/** Not by a sign-in that fails: those are counted, and then refused. */
const mysqlAnswers = () =>
  deps.mysql.ping().then(
    () => true,
    () => false,
  );
const works = (ask: () => Response | Promise<Response>, status: number) => async () =>
  (await ask()).status === status;

describe("MySQL", () => {
  test.each([...MYSQL_CODES])("%i %s is 503", async (errno) => {
    await eventually(mysqlAnswers, "MySQL's return");
    const end = mysql.answer(isStatement, mySqlError(errno));
    try {
      await expectAway(await signIn(), "sign-in");
    } finally {
      end();
    }
  });

  test.each([1053, 1114, 1290, 1927])("%i inside a transaction is 503", async (errno) => {
    await eventually(mysqlAnswers, "MySQL's return");
    const end = mysql.answer(isStatement, mySqlError(errno));
    try {
      await expectAway(await post("/auth/forgot-password", { email: "nobody@example.com" }), "recovery");
    } finally {
      end();
    }
  });

  test.each([1038, 1064, 1146, 1153, 1197, 1366])("%i stays what it is: a fault of ours", async (errno) => {
    await eventually(mysqlAnswers, "MySQL's return");
    const end = mysql.answer(isStatement, mySqlError(errno));
    try {
      expect((await signIn()).status).toBe(500);
    } finally {
      end();
    }
  });

  test("KILL QUERY and KILL CONNECTION of a running statement, alone and in a transaction", async () => {
    const admin = await mariadb.createConnection(mysqlOptions(t.deps.config.databaseUrl));
    const wait = (tx?: Parameters<Deps["mysql"]["on"]>[0]) =>
      deps.mysql.on(tx).$queryRaw`SELECT COUNT(*) FROM information_schema.tables WHERE SLEEP(3)`;
    // The server lists a connection for a moment after it was killed.
    const killed = new Set<bigint>();
    try {
      for (const how of ["QUERY", "CONNECTION"]) {
        for (const run of [() => wait(), () => deps.mysql.transaction((tx) => wait(tx))]) {
          const failed = run().then(
            () => undefined,
            (error: unknown) => error,
          );
          let id: bigint | undefined;
          await eventually(async () => {
            const rows = await admin.query<{ id: bigint }[]>(
              "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%SLEEP(3)%' AND id <> CONNECTION_ID()",
            );
            id = rows.find((row) => !killed.has(row.id))?.id;
            return id !== undefined;
          }, "the statement");
          await admin.query(`KILL ${how} ${id}`);
          if (how === "CONNECTION" && id !== undefined) killed.add(id);
          expect([how, isUnavailable(await failed)]).toEqual([how, true]);
        }
      }
    } finally {
      await admin.end();
    }
  });

  test("connections that are cut, reset or refused, and a server that says nothing", async () => {
    for (const [what, harm, mend] of [
      ["reset", () => mysql.reset(), async () => undefined],
      ["cut", () => mysql.cut(), async () => undefined],
      ["refused", () => mysql.stop(), () => mysql.start()],
      ["silent", () => mysql.pause(), async () => mysql.resume()],
    ] as const) {
      await eventually(mysqlAnswers, "MySQL's return");
      const running = deps.mysql.on().$queryRaw`SELECT SLEEP(2)`.then(
        () => undefined,
        (error: unknown) => error,
      );
      await harm();
      // Before six seconds; the guard is above what a busy machine adds, and below the ten that it once took.
      const told = await Promise.race([signIn(), Bun.sleep(9000)]);
      if (what === "refused" || what === "silent") await expectAway(told as Response, what);
      else if ((told as Response).status !== 401) await expectAway(told as Response, what);
      if (what !== "silent") expect([what, isUnavailable(await running)]).toEqual([what, true]);
      await mend();
      await running;
    }
  });
});

describe("MongoDB", () => {
  const refusal = (code: number) => mongoAnswer({ ok: 0, code, errmsg: "what a server says" });

  test.each([...MONGO_CODES])("%i %s is 503, of reads and of writes", async (code) => {
    for (const [what, ask, status] of [
      ["read", products, 200],
      ["write", record, 202],
    ] as const) {
      await eventually(works(ask, status), "MongoDB's return");
      const end = mongo.answer((bytes) => isCommand(bytes), refusal(code));
      try {
        await expectAway(await ask(), what);
      } finally {
        end();
      }
    }
  });

  test.each([2, 9, 26, 121, 292])("%i stays what it is: a fault of ours", async (code) => {
    await eventually(works(products, 200), "MongoDB's return");
    const end = mongo.answer((bytes) => isCommand(bytes), refusal(code));
    try {
      expect((await products()).status).toBe(500);
    } finally {
      end();
    }
  });

  test("wrapped by a bulk write: the command, one of its writes, its network", async () => {
    await eventually(works(products, 200), "MongoDB's return");
    const collection = deps.mongo.connection.collection("bulk_writes");
    const write = () =>
      collection.bulkWrite([{ updateMany: { filter: { a: 1 }, update: { $set: { b: 1 } } } }]).then(
        () => undefined,
        (error: Error) => error,
      );
    for (const answer of [
      refusal(11600),
      refusal(10107),
      mongoAnswer({ ok: 1, n: 0, nModified: 0, writeErrors: [{ index: 0, code: 11602, errmsg: "stopped" }] }),
    ]) {
      const end = mongo.answer((bytes) => isCommand(bytes), answer);
      expect(isUnavailable(await write())).toBe(true);
      end();
      await eventually(works(products, 200), "MongoDB's return");
    }
    const other = mongoAnswer({
      ok: 1,
      n: 0,
      nModified: 0,
      writeErrors: [{ index: 0, code: 121, errmsg: "no" }],
    });
    const end = mongo.answer((bytes) => isCommand(bytes), other);
    expect(isUnavailable(await write())).toBe(false);
    end();
    const lost = mongo.loseNextAnswer((bytes) => bytes.includes("\x02update\0"));
    const failed = await write();
    await lost;
    expect([failed?.name, isUnavailable(failed)]).toEqual([expect.stringMatching(/^Mongo/), true]);
  });

  test("refused and silent, for reads, writes and changes in a transaction; more wait than there are turns", async () => {
    for (const [harm, mend] of [
      [() => mongo.stop(), () => mongo.start()],
      [() => mongo.pause(), async () => mongo.resume()],
    ] as const) {
      await eventually(works(products, 200), "MongoDB's return");
      await harm();
      const change = () =>
        deps.mongo
          .transaction((tx) =>
            deps.mongo.connection.collection("changes").insertOne({ a: 1 }, deps.mongo.in(tx)),
          )
          .then(
            () => undefined,
            (error: unknown) => error,
          );
      const told = await Promise.race([
        Promise.all([products(), record(), ...Array.from({ length: 8 }, change)]),
        // As above.
        Bun.sleep(9000),
      ]);
      const [read, written, ...failed] = told as [Response, Response, ...unknown[]];
      await expectAway(read, "read");
      await expectAway(written, "write");
      expect(failed.map(isUnavailable)).not.toContain(false);
      await mend();
    }
  });

  test("every name in the table is one of the driver's errors", async () => {
    // Those of the pool are not exported.
    const pool = (await import("mongodb/lib/cmap/errors.js" as string)) as object;
    const classes = Object.values({ ...driver, ...pool }).filter(
      (value): value is typeof driver.MongoError =>
        typeof value === "function" && value.prototype instanceof Error,
    );
    const known = new Map(classes.map(({ prototype }) => [prototype.name, prototype]));
    for (const name of MONGO_ERRORS) {
      expect([name, known.has(name)]).toEqual([name, true]);
      expect(isUnavailable(Object.create(known.get(name) ?? null))).toBe(true);
    }
  });

  test("before the first connection, and after the last", async () => {
    const closed = createDeps({ ...deps.config, mongodbUri: "mongodb://127.0.0.1:1/aizy" }, silentLogger());
    try {
      await expectAway(await createApp(closed).request("/api/products"), "before");
    } finally {
      await closed.close();
    }
    await expectAway(await createApp(closed).request("/api/products"), "after");
  });
});

describe("isUnavailable", () => {
  test("what the system says counts when a driver says it, and only then", () => {
    for (const code of SOCKET_CODES) {
      const system = Object.assign(new Error(`read ${code}`), { code, errno: -104, syscall: "read" });
      expect(isUnavailable(system)).toBe(false);
      expect(isUnavailable(Object.assign(system, { fatal: true, sqlState: "HY000" }))).toBe(true);
      const network = new driver.MongoError("lost");
      expect(isUnavailable(Object.assign(network, { cause: { code } }))).toBe(true);
    }
  });

  test("walks causes of any depth, and circles", () => {
    const inner = new driver.MongoNetworkError("lost");
    expect(isUnavailable(new Error("a", { cause: new Error("b", { cause: inner }) }))).toBe(true);
    expect(isUnavailable(new AggregateError([new Error("a"), inner]))).toBe(true);
    const circle = new Error("a");
    circle.cause = new Error("b", { cause: circle });
    expect(isUnavailable(circle)).toBe(false);
  });

  test("a text, a number of another library and a key that is taken are something else", () => {
    for (const error of [
      undefined,
      null,
      "MongoNetworkError",
      50,
      new Error("pool timeout: connection lost, ECONNREFUSED, socket has unexpectedly been closed"),
      Object.assign(new Error("a number of another library"), { code: 11600, errno: 1053 }),
      Object.assign(new driver.MongoError("taken"), { code: 11000 }),
    ])
      expect(isUnavailable(error)).toBe(false);
  });
});

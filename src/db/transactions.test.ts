import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { around, gate } from "../../test/interleave";
import { startProxy } from "../../test/proxy";
import { AppError } from "../lib/errors";
import { connectMongo, duplicateKey, type MongoTx } from "./mongo";
import { connectMySql, duplicateIndex, type MySqlTx } from "./prisma";

const t = useTestApp();
/** A hang guard, far above what anything here takes. */
const PATIENCE = 60_000;

const refusal = async (work: Promise<unknown>): Promise<AppError> => {
  const outcome = await work.catch((error) => error);
  if (outcome instanceof AppError) return outcome;
  throw outcome instanceof Error ? outcome : new Error(`expected a refusal, got ${Bun.inspect(outcome)}`);
};

describe("MongoDB transactions", () => {
  interface Counter {
    _id: string;
    n: number;
  }
  const counters = (mongo = t.deps.mongo) => mongo.connection.collection<Counter>("test_counters");
  beforeEach(async () => {
    await counters().deleteMany({});
    await counters().insertMany([
      { _id: "a", n: 0 },
      { _id: "b", n: 0 },
    ]);
  });
  afterAll(() => t.deps.mongo.connection.collection("test_counters").drop());
  const add = (tx: MongoTx, _id: string, mongo = t.deps.mongo) =>
    counters(mongo).updateOne({ _id }, { $inc: { n: 1 } }, mongo.in(tx));

  test(
    "what conflicts runs again until it gets through; nothing is lost",
    async () => {
      let runs = 0;
      await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          t.deps.mongo.transaction(async (tx) => {
            runs++;
            const [first, second] = index % 2 === 0 ? ["a", "b"] : ["b", "a"];
            const read = await counters().findOne({ _id: first }, t.deps.mongo.in(tx));
            await counters().updateOne(
              { _id: first },
              { $set: { n: (read?.n ?? 0) + 1 } },
              t.deps.mongo.in(tx),
            );
            await add(tx, second ?? "");
          }),
        ),
      );
      expect(await counters().find().sort({ _id: 1 }).toArray()).toEqual([
        { _id: "a", n: 30 },
        { _id: "b", n: 30 },
      ]);
      expect(runs).toBeGreaterThanOrEqual(30);
    },
    PATIENCE,
  );

  test("an error of the work's own undoes everything and is thrown as it is, once", async () => {
    let runs = 0;
    const error = await refusal(
      t.deps.mongo.transaction(async (tx) => {
        runs++;
        await add(tx, "a");
        throw new AppError("conflict", "of the work's own");
      }),
    );
    expect(error.code).toBe("conflict");
    expect(runs).toBe(1);
    expect(await counters().findOne({ _id: "a" })).toEqual({ _id: "a", n: 0 });
  });

  test("a duplicate key ends it; it is told outside, with the index", async () => {
    let runs = 0;
    const outcome = await t.deps.mongo
      .transaction(async (tx) => {
        runs++;
        await add(tx, "a");
        await counters().insertOne({ _id: "b", n: 9 }, t.deps.mongo.in(tx));
      })
      .catch((error) => error);
    expect(duplicateKey(outcome)).toBe("_id_");
    expect(runs).toBe(1);
    expect(await counters().findOne({ _id: "a" })).toEqual({ _id: "a", n: 0 });
  });

  test(
    "one that cannot get through within its limit is 503 with Retry-After, not a hang",
    async () => {
      const held = gate();
      const holder = t.deps.mongo.transaction(async (tx) => {
        await add(tx, "a");
        await held.wait();
      });
      await held.reached;
      const error = await refusal(t.deps.mongo.transaction((tx) => add(tx, "a")));
      expect([error.code, error.status]).toEqual(["service_unavailable", 503]);
      expect(error.retryAfter).toBeGreaterThan(0);
      held.open();
      await holder;
      expect(await counters().findOne({ _id: "a" })).toEqual({ _id: "a", n: 1 });
    },
    PATIENCE,
  );

  test(
    "transactions take at most half the pool, so plain reads go on beside them",
    async () => {
      const mongo = connectMongo(t.deps.config.mongodbUri, 4);
      await mongo.connection.asPromise();
      const held = gate();
      let inside = 0;
      const holders = Array.from({ length: 6 }, (_, n) =>
        mongo.transaction(async (tx) => {
          inside++;
          await counters(mongo).insertOne({ _id: `t${n}`, n }, mongo.in(tx));
          await held.wait();
        }),
      );
      await held.reached;
      for (let n = 0; n < 10; n++) await counters(mongo).countDocuments();
      expect(inside).toBe(2);
      held.open();
      await Promise.all(holders);
      expect(await counters(mongo).countDocuments()).toBe(8);
      await mongo.close();
    },
    PATIENCE,
  );

  test(
    "the answer to the commit is lost: it is asked for again, and the change is there once",
    async () => {
      const proxy = await startProxy(t.deps.config.mongodbUri);
      const mongo = connectMongo(proxy.url(t.deps.config.mongodbUri), 4);
      await mongo.connection.asPromise();
      const lost = proxy.loseNextAnswer((bytes) => bytes.includes("commitTransaction"));
      await mongo.transaction((tx) => add(tx, "a", mongo));
      await lost;
      expect(await counters().findOne({ _id: "a" })).toEqual({ _id: "a", n: 1 });
      await mongo.close();
      await proxy.close();
    },
    PATIENCE,
  );

  test(
    "two that read one guard document and change it cannot both pass; two that only read it can",
    async () => {
      const place = async (bump: boolean) => {
        const both = Array.from({ length: 2 }, () => gate());
        const meet = Promise.all(both.map(({ reached }) => reached));
        const outcomes = await Promise.all(
          both.map(async (own, index) => {
            let first = true;
            await t.deps.mongo.transaction(async (tx) => {
              const present = await counters().countDocuments({ _id: /^placed/ }, t.deps.mongo.in(tx));
              if (first) {
                first = false;
                void own.wait();
                await meet;
              }
              if (present > 0) return;
              if (bump) await add(tx, "a");
              await counters().insertOne({ _id: `placed-${index}`, n: 0 }, t.deps.mongo.in(tx));
            });
            own.open();
          }),
        );
        expect(outcomes).toHaveLength(2);
        return counters().countDocuments({ _id: /^placed/ });
      };
      expect(await place(false)).toBe(2);
      await counters().deleteMany({ _id: /^placed/ });
      expect(await place(true)).toBe(1);
    },
    PATIENCE,
  );
});

describe("MySQL transactions", () => {
  const makeRole = (id: string, name: string, tx?: MySqlTx) =>
    t.deps.mysql.on(tx).role.create({ data: { id, name, description: "of a test" } });
  const describeRole = (name: string, description: string, tx: MySqlTx) =>
    t.deps.mysql.on(tx).role.update({ where: { name }, data: { description } });
  beforeEach(async () => {
    await t.deps.mysql.on().role.deleteMany({ where: { name: { startsWith: "t-" } } });
    for (const name of ["t-a", "t-b"]) await makeRole(t.deps.random.id(), name);
  });

  test(
    "a deadlock's victim runs again: both changes are there",
    async () => {
      const arrived = [gate(), gate()];
      const together = Promise.all(arrived.map(({ reached }) => reached));
      let runs = 0;
      await Promise.all(
        arrived.map((own, index) => {
          const [first, second] = index === 0 ? ["t-a", "t-b"] : ["t-b", "t-a"];
          let met = false;
          return t.deps.mysql.transaction(async (tx) => {
            runs++;
            await describeRole(first ?? "", `first of ${index}`, tx);
            if (!met) {
              met = true;
              void own.wait();
              await together;
            }
            await describeRole(second ?? "", `second of ${index}`, tx);
          });
        }),
      );
      expect(runs).toBe(3);
      const roles = await t.deps.mysql
        .on()
        .role.findMany({ where: { name: { startsWith: "t-" } }, orderBy: { name: "asc" } });
      // Whoever came last wrote both.
      const last = roles[0]?.description.at(-1);
      expect(roles.every(({ description }) => description.endsWith(last ?? ""))).toBe(true);
    },
    PATIENCE,
  );

  test("an error of the work's own undoes everything and is thrown as it is, once", async () => {
    let runs = 0;
    const error = await refusal(
      t.deps.mysql.transaction(async (tx) => {
        runs++;
        await describeRole("t-a", "changed", tx);
        throw new AppError("conflict", "of the work's own");
      }),
    );
    expect([error.code, runs]).toEqual(["conflict", 1]);
    expect((await t.deps.mysql.on().role.findUnique({ where: { name: "t-a" } }))?.description).toBe(
      "of a test",
    );
  });

  test("a duplicate key names its index", async () => {
    const outcome = await makeRole(t.deps.random.id(), "t-a").catch((error) => error);
    expect(duplicateIndex(outcome)).toBe("roles_name_key");
    expect(duplicateIndex(new Error("something else"))).toBeUndefined();
  });

  test(
    "one that waits for a lock beyond its limit is 503 with Retry-After, not a hang",
    async () => {
      const held = gate();
      const other = connectMySql(t.deps.config.databaseUrl, 2);
      const holder = other.on().$transaction(
        async (tx) => {
          await tx.role.update({ where: { name: "t-a" }, data: { description: "held" } });
          await held.wait();
        },
        { timeout: PATIENCE },
      );
      await held.reached;
      const error = await refusal(t.deps.mysql.transaction((tx) => describeRole("t-a", "waited", tx)));
      expect([error.code, error.status]).toEqual(["service_unavailable", 503]);
      held.open();
      await holder;
      await other.close();
      // The pool is whole again.
      await t.deps.mysql.transaction((tx) => describeRole("t-a", "after", tx));
      expect((await t.deps.mysql.on().role.findUnique({ where: { name: "t-a" } }))?.description).toBe(
        "after",
      );
    },
    PATIENCE,
  );

  test(
    "the connection dies in mid-transaction: an error, nothing half done, and the pool recovers",
    async () => {
      const proxy = await startProxy(t.deps.config.databaseUrl);
      const mysql = connectMySql(proxy.url(t.deps.config.databaseUrl), 2);
      const outcome = await mysql
        .transaction(async (tx) => {
          await mysql.on(tx).role.update({ where: { name: "t-a" }, data: { description: "half" } });
          proxy.cut();
          await mysql.on(tx).role.update({ where: { name: "t-b" }, data: { description: "half" } });
        })
        .catch((error) => error);
      expect(outcome).toBeInstanceOf(Error);
      const roles = await t.deps.mysql.on().role.findMany({ where: { name: { startsWith: "t-" } } });
      expect(roles.map(({ description }) => description)).toEqual(["of a test", "of a test"]);
      await mysql.ping();
      await mysql.close();
      await proxy.close();
    },
    PATIENCE,
  );
});

describe("around (the interleaving helper)", () => {
  test("runs once, at its place, for this application only, and can be taken back", async () => {
    const order: string[] = [];
    const undo = around(t.deps.products, "count", {
      before: async () => {
        order.push("before");
        await t.deps.products.count();
      },
      after: () => order.push("after"),
    });
    await t.deps.products.count();
    await t.deps.products.count();
    expect(order).toEqual(["before", "after"]);
    undo();
    await t.deps.products.count();
    expect(order).toHaveLength(2);
  });
});

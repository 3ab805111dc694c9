import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { databaseOf, withDatabase } from "../../test/addresses";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { eventually, startProgram, startServer } from "../../test/processes";
import { startProxy } from "../../test/proxy";
import { createStock, type TestStock } from "../../test/stock";
import { createApp } from "../app";
import type { Actor } from "../lib/actor";
import { after, MINUTE, SECOND } from "../lib/clock";
import { AppError } from "../lib/errors";
import { silentLogger } from "../telemetry/log";
import type { Deps } from "../wire";
import { createDeps } from "../wire";
import { createStockCommitter } from "./committer";
import { expireDue } from "./expiry";
import { locationModel, movementModel, reservationModel } from "./model";
import { endReservation, reserve } from "./reservations";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;
const opened: Deps[] = [];

const ACTOR: Actor = {
  kind: "user",
  callerId: "user:fault",
  userId: "fault",
  sessionId: null,
  permissions: new Set(),
};
const noRecord = async () => undefined;

/** The same application once more, with its own connections, as another process has it. */
async function another(change: { mongodbUri?: string; now?: () => Date } = {}): Promise<Deps> {
  const { now = t.clock.now, ...config } = change;
  const mail = { send: async () => undefined, close: () => undefined };
  const deps = createDeps({ ...t.deps.config, ...config }, silentLogger(), { clock: { now }, mail });
  opened.push(deps);
  await deps.mongo.connection.asPromise();
  return deps;
}

/** The same, but each change in a transaction of its own that runs into all the others. */
const withoutQueue = (deps: Deps): Deps => ({
  ...deps,
  stock: createStockCommitter(
    {
      mongo: deps.mongo,
      store: deps.inventory,
      jobs: deps.jobs.mongo,
      clock: deps.clock,
      random: deps.random,
    },
    { unordered: true, batch: 1, concurrency: 8 },
  ),
});

/**
 * The same, but each transaction runs twice, as after a commit whose answer was lost: the second time it begins
 * on a snapshot from before that commit, and so does not see at first that it took.
 */
const committingInDoubt = (deps: Deps): Deps & { runs(): number } => {
  let runs = 0;
  const stock = createStockCommitter({
    mongo: {
      ...deps.mongo,
      async transaction(work) {
        const begun = Promise.withResolvers<void>();
        const committed = Promise.withResolvers<void>();
        const again = deps.mongo.transaction(async (tx) => {
          await locationModel(deps.mongo.connection).findOne({}, null, deps.mongo.in(tx));
          begun.resolve();
          await committed.promise;
          runs++;
          return work(tx);
        });
        await begun.promise;
        await deps.mongo.transaction(work);
        committed.resolve();
        return again;
      },
    },
    store: deps.inventory,
    jobs: deps.jobs.mongo,
    clock: deps.clock,
    random: deps.random,
  });
  return { ...deps, stock, runs: () => runs };
};

const one = (deps: Deps, sku: string, quantity = 1, ttlSeconds = 900) =>
  reserve(deps, ACTOR, { lines: [{ sku, quantity }], ttlSeconds, reference: null }, noRecord);

const movementsOf = (filter: { reservationId: string | { $in: string[] }; kind?: "reserve" | "expire" }) =>
  movementModel(t.deps.mongo.connection).find(filter).lean();

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

afterAll(async () => {
  await Promise.all(opened.map((deps) => deps.close()));
});

describe("many at once", () => {
  test("lines in opposite order, 100 in parallel over two processes: no deadlock, no 5xx", async () => {
    const a = await stock.sku(60);
    const b = await stock.sku(60);
    const apps = [t.app, createApp(await another())];
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const skus = index % 2 === 0 ? [a, b] : [b, a];
        const response = await apps[(index >> 1) % 2]?.request("/api/products/inventory/reservations", {
          method: "POST",
          headers: { authorization: `Bearer ${manager.accessToken}`, "content-type": "application/json" },
          body: JSON.stringify({ lines: skus.map((sku) => ({ sku, quantity: 1 })) }),
        });
        return response?.status;
      }),
    );
    expect(answers.filter((status) => status === 201).length).toBe(60);
    expect(answers.filter((status) => status === 409).length).toBe(40);
    for (const sku of [a, b]) expect(await stock.level(sku)).toMatchObject({ reserved: 60, available: 0 });
    expect(await stock.differences()).toEqual([]);
  });

  test("without the queue, every change in its own transaction: nothing is oversold all the same", async () => {
    const sku = await stock.sku(10);
    const other = await stock.sku(1000);
    const racers = [withoutQueue(t.deps), withoutQueue(await another())];
    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) => {
        const lines = [
          { sku, quantity: 1 },
          { sku: other, quantity: 1 },
        ];
        return reserve(
          racers[index % 2] as Deps,
          ACTOR,
          { lines: index % 4 < 2 ? lines : lines.reverse(), ttlSeconds: 900, reference: null },
          noRecord,
        );
      }),
    );
    const codes = outcomes.map((outcome) => {
      if (outcome.status === "fulfilled") return "held";
      return outcome.reason instanceof AppError ? outcome.reason.code : outcome.reason;
    });
    const count = (code: string) => codes.filter((one) => one === code).length;
    const [held, late] = [count("held"), count("service_unavailable")];
    // Without the queue they fight: on a busy machine some are told to try again, and have nothing then.
    expect(held + late + count("insufficient_stock")).toBe(30);
    expect(held).toBeLessThanOrEqual(10);
    if (late === 0) expect(held).toBe(10);
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: held, sequence: held + 1 });
    expect(await stock.level(other)).toMatchObject({ reserved: held });
    expect(await stock.differences()).toEqual([]);
  });

  test("commit against expiry at the same instant, in two processes: one wins, given back at most once", async () => {
    const sku = await stock.sku(100);
    const wins = { committed: 0, expired: 0, released: 0 };
    let until = 0;
    // Each on its own clock: for one the time is not up by a millisecond, for the other it is.
    const before = await another({ now: () => new Date(until - 1) });
    const then = await another({ now: () => new Date(until) });
    for (let round = 0; round < 20; round++) {
      const { id, expiresAt } = await one(t.deps, sku, 1, 60);
      until = Date.parse(expiresAt);
      const level = await stock.level(sku);
      const how = round % 3 === 0 ? "released" : "committed";
      await Promise.allSettled([
        expireDue(then),
        endReservation(before, ACTOR, id, how, undefined, noRecord),
        expireDue(then),
      ]);
      const reservation = await t.deps.inventory.findReservation(id);
      wins[reservation?.status as keyof typeof wins]++;
      const ends = (await movementsOf({ reservationId: id }))
        .map(({ kind }) => kind)
        .filter((kind) => kind !== "reserve");
      expect(ends).toEqual([
        reservation?.status === "committed"
          ? "sell"
          : reservation?.status === "expired"
            ? "expire"
            : "release",
      ]);
      const now = await stock.level(sku);
      expect([now.reserved, level.onHand - now.onHand]).toEqual([
        level.reserved - 1,
        reservation?.status === "committed" ? 1 : 0,
      ]);
    }
    expect(wins.committed + wins.expired + wins.released).toBe(20);
    expect(await stock.differences()).toEqual([]);
  }, 60_000);

  test("at the very instant of its time a reservation is expired, not committed", async () => {
    const sku = await stock.sku(1);
    const { id, expiresAt } = await one(t.deps, sku, 1, 60);
    const then = await another({ now: () => new Date(expiresAt) });
    expect(
      await endReservation(then, ACTOR, id, "committed", undefined, noRecord).catch((error) => error.code),
    ).toBe("conflict");
    expect(await expireDue(then)).toBe(1);
    expect(await expireDue(then)).toBe(0);
  });
});

describe("crashes", () => {
  test("two sweepers, one killed with -9 in mid-sweep: all is given back, once", async () => {
    const skus = [await stock.sku(1000), await stock.sku(1000), await stock.sku(1000)];
    const count = 300;
    const ids = (
      await Promise.all(
        Array.from({ length: count }, (_, index) => one(t.deps, skus[index % skus.length] ?? "", 1, 1)),
      )
    ).map(({ id }) => id);
    await eventually(async () => Date.now() > t.clock.now().getTime() + 2 * SECOND, "the end of their time");
    const expired = () =>
      reservationModel(t.deps.mongo.connection).countDocuments({ _id: { $in: ids }, status: "expired" });
    expect(await expired()).toBe(0);
    const [doomed, other] = await Promise.all([startServer(), startServer()]);
    try {
      let seen = 0;
      await eventually(async () => {
        seen = await expired();
        return seen > 0;
      }, "the first expiry");
      await doomed.kill("SIGKILL");
      expect(seen).toBeLessThan(count);
      await eventually(async () => (await expired()) === count, "the last expiry");
    } finally {
      await Promise.all([doomed.kill("SIGKILL"), other.kill("SIGTERM")]);
    }
    const given = await movementsOf({ reservationId: { $in: ids }, kind: "expire" });
    expect(given.length).toBe(count);
    expect(new Set(given.map(({ reservationId }) => reservationId)).size).toBe(count);
    for (const sku of skus) expect(await stock.level(sku)).toMatchObject({ reserved: 0, available: 1000 });
    expect(await stock.differences()).toEqual([]);
  }, 90_000);

  test("a process killed with -9 in the middle of reservations: every acknowledged one is there, none twice", async () => {
    const sku = await stock.sku(100_000);
    const servers = await Promise.all([startServer(), startServer()]);
    const call = async (index: number, server: (typeof servers)[number]) => {
      const response = await fetch(`${server.address}/api/products/inventory/reservations`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${manager.accessToken}`,
          "content-type": "application/json",
          "idempotency-key": `kill-${index}`,
        },
        body: JSON.stringify({ lines: [{ sku, quantity: 1 }], reference: `kill-${index}` }),
      });
      // biome-ignore lint/suspicious/noExplicitAny: a reservation or a refusal.
      const body = (await response.json()) as any;
      return response.status === 201 ? (body.data.id as string) : undefined;
    };
    try {
      const [doomed, other] = servers;
      const acknowledged = new Map<number, string>();
      let next = 0;
      let done = 0;
      await Promise.all(
        Array.from({ length: 32 }, async () => {
          while (next < 240) {
            const index = next++;
            const id = await call(index, index % 2 === 0 ? doomed : other).catch(() => undefined);
            if (id !== undefined) acknowledged.set(index, id);
            if (++done === 90) void doomed.kill("SIGKILL");
          }
        }),
      );
      const rows = await reservationModel(t.deps.mongo.connection)
        .find({ reference: /^kill-/ })
        .lean();
      const byId = new Map(rows.map((row) => [row._id, row]));
      for (const [index, id] of acknowledged) expect(byId.get(id)?.reference).toBe(`kill-${index}`);
      expect(new Set(rows.map(({ reference }) => reference)).size).toBe(rows.length);
      expect(acknowledged.size).toBeLessThan(240);
      // Whoever got no answer asks again with the same key: what was done is answered, not done again.
      for (let index = 0; index < 240; index++) {
        if (acknowledged.has(index)) continue;
        const there = rows.find(({ reference }) => reference === `kill-${index}`);
        const id = await call(index, other);
        if (there) expect(id).toBe(there._id);
      }
      expect(await stock.differences()).toEqual([]);
    } finally {
      await Promise.all(servers.map((server) => server.kill("SIGKILL")));
    }
  }, 90_000);
});

describe("the database", () => {
  let proxy: Awaited<ReturnType<typeof startProxy>>;
  beforeAll(async () => {
    proxy = await startProxy(t.deps.config.mongodbUri);
  });
  afterAll(() => proxy.close());

  const given = process.env.AIZY_LOCAL_POSTGRES;
  const engine = async (port = "0") => {
    const { host, port: postgresPort, user, database } = JSON.parse(given ?? "{}");
    const options = { postgres: host, "postgres-port": postgresPort, user, database, port };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const program = startProgram(["local/gateway/main.ts", ...words]);
    const [uri = ""] = await program.line(/mongodb:\S+/);
    return { program, uri, port: new URL(uri).port };
  };

  /** Ways in which the database goes away and comes back, and an address to reach it by meanwhile. */
  const restarts: {
    how: string;
    skip: boolean;
    open(): Promise<{ uri: string; restart(): Promise<void>; close(): Promise<unknown> }>;
  }[] = [
    {
      how: "its connections cut and refused for a while",
      skip: false,
      open: async () => ({
        uri: proxy.url(t.deps.config.mongodbUri),
        restart: async () => {
          await proxy.stop();
          await Bun.sleep(200);
          await proxy.start();
        },
        close: async () => undefined,
      }),
    },
    {
      how: "its process killed with -9 (needs the local engine: AIZY_LOCAL_POSTGRES)",
      skip: given === undefined,
      open: async () => {
        let running = await engine();
        return {
          uri: withDatabase(running.uri, databaseOf(t.deps.config.mongodbUri)),
          restart: async () => {
            await running.program.kill("SIGKILL");
            running = await engine(running.port);
          },
          close: () => running.program.kill("SIGTERM"),
        };
      },
    },
  ];

  for (const { how, skip, open } of restarts)
    test.skipIf(skip)(
      `restarted in the middle of 600 reservations, ${how}: every acknowledged one is there, none twice`,
      async () => {
        const way = await open();
        const run = `restart ${how.length}`;
        const deps = await another({ mongodbUri: way.uri });
        const app = createApp(deps);
        const skus = await Promise.all(Array.from({ length: 5 }, () => stock.sku(10_000)));
        const count = 600;
        const acknowledged = new Map<number, string>();
        const refused = new Set<number>();
        const call = async (index: number) => {
          const response = await app.request("/api/products/inventory/reservations", {
            method: "POST",
            headers: {
              authorization: `Bearer ${manager.accessToken}`,
              "content-type": "application/json",
              "idempotency-key": `${run.replaceAll(" ", "-")}-${index}`,
            },
            body: JSON.stringify({
              lines: [{ sku: skus[index % skus.length], quantity: 1 }],
              reference: `${run} ${index}`,
            }),
          });
          // biome-ignore lint/suspicious/noExplicitAny: a reservation or a refusal.
          const body = (await response.json()) as any;
          if (response.status === 201) acknowledged.set(index, body.data.id);
          else refused.add(response.status);
        };
        const all = async (indexes: number[], onDone: (done: number) => void) => {
          let next = 0;
          let done = 0;
          await Promise.all(
            Array.from({ length: 64 }, async () => {
              while (next < indexes.length) {
                await call(indexes[next++] as number);
                onDone(++done);
              }
            }),
          );
        };
        let restart: Promise<void> | undefined;
        await all(
          Array.from({ length: count }, (_, index) => index),
          (done) => {
            if (done !== count / 4) return;
            restart = way.restart();
          },
        );
        await restart;
        expect([...refused].filter((status) => status !== 503)).toEqual([]);
        const written = () =>
          reservationModel(t.deps.mongo.connection)
            .find({ reference: new RegExp(`^${run} `) })
            .lean();
        const rows = new Map((await written()).map((row) => [row._id, row]));
        for (const [index, id] of acknowledged) expect(rows.get(id)?.reference).toBe(`${run} ${index}`);
        expect(new Set([...rows.values()].map(({ reference }) => reference)).size).toBe(rows.size);
        expect(await stock.differences()).toEqual([]);

        // A key whose request died with the database is free when its lease has ended.
        t.clock.advance(2 * MINUTE);
        const left = Array.from({ length: count }, (_, index) => index).filter(
          (index) => !acknowledged.has(index),
        );
        refused.clear();
        await all(left, () => undefined);
        expect([...refused]).toEqual([]);
        expect(acknowledged.size).toBe(count);
        const final = await written();
        expect(final.length).toBe(count);
        expect(new Set(acknowledged.values()).size).toBe(count);
        for (const sku of skus)
          expect(await stock.level(sku)).toMatchObject({ reserved: count / skus.length });
        expect(await stock.differences()).toEqual([]);
        await deps.close();
        opened.splice(opened.indexOf(deps), 1);
        await way.close();
      },
      180_000,
    );

  test("an answer lost after the commit: the change is there once, and so is its answer", async () => {
    const deps = await another({ mongodbUri: proxy.url(t.deps.config.mongodbUri) });
    for (const command of ["commitTransaction", "stockMovements", "stockLevels"]) {
      const sku = await stock.sku(10);
      const lost = proxy.loseNextAnswer((bytes) => bytes.includes(command));
      const { id } = await one(deps, sku, 10);
      await lost;
      expect((await t.deps.inventory.findReservation(id))?.status).toBe("active");
      expect(await stock.level(sku)).toMatchObject({ reserved: 10, sequence: 2 });
    }
    expect(await stock.differences()).toEqual([]);
  }, 60_000);

  test("a commit that took, is taken for lost, and shows only later: done once, answered as done", async () => {
    const deps = committingInDoubt(await another());
    const app = createApp(deps);
    const token = { authorization: `Bearer ${manager.accessToken}` };
    const call = async (method: string, path: string, json: unknown, headers: Record<string, string>) => {
      const response = await app.request(`/api/products/inventory${path}`, {
        method,
        headers: { ...token, "content-type": "application/json", ...headers },
        body: JSON.stringify(json),
      });
      return { status: response.status, body: await response.json() };
    };
    const twice = async (path: string, json: unknown, status: number) => {
      const before = deps.runs();
      const key = { "idempotency-key": deps.random.id() };
      const first = await call("POST", path, json, key);
      expect(first.status).toBe(status);
      expect(deps.runs()).toBeGreaterThan(before);
      expect(await call("POST", path, json, key)).toEqual(first);
      // biome-ignore lint/suspicious/noExplicitAny: answers of several routes.
      return (first.body as any).data;
    };
    const { locationId } = stock;
    const sku = await stock.sku(10);
    const { id } = await twice("/reservations", { lines: [{ sku, quantity: 2 }] }, 201);
    await twice(`/reservations/${id}/renew`, { ttlSeconds: 600 }, 200);
    await twice(`/reservations/${id}/commit`, {}, 200);
    await twice("/adjust", { sku, locationId, delta: 5, kind: "receive", reason: "test" }, 200);
    await twice("/set", { sku, locationId, expected: 13, quantity: 12, reason: "test" }, 200);
    await twice("/set", { sku, locationId, expected: 12, quantity: 12, reason: "test" }, 200);
    const bare = await stock.sku();
    const level = await twice("/levels", { sku: bare, locationId, safetyThreshold: 3 }, 201);
    const changed = await call(
      "PATCH",
      `/levels/${level.id}`,
      { safetyThreshold: 4 },
      { "if-match": `"v1"` },
    );
    expect(changed.status).toBe(200);
    expect(await stock.level(sku)).toMatchObject({ onHand: 12, reserved: 0, sequence: 5 });
    expect(await stock.differences()).toEqual([]);
  });

  test("many in one transaction, and its commit shows only later: each is answered as it was decided", async () => {
    const deps = committingInDoubt(await another());
    const sku = await stock.sku(30);
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => one(deps, sku)));
    expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBe(30);
    expect(await stock.level(sku)).toMatchObject({ reserved: 30, sequence: 31 });
    expect(await stock.differences()).toEqual([]);
  });

  test("gone for good: 503, and nothing is left half done", async () => {
    const deps = await another({ mongodbUri: proxy.url(t.deps.config.mongodbUri) });
    const sku = await stock.sku(10);
    await proxy.stop();
    const response = await createApp(deps).request("/api/products/inventory/reservations", {
      method: "POST",
      headers: { authorization: `Bearer ${manager.accessToken}`, "content-type": "application/json" },
      body: JSON.stringify({ lines: [{ sku, quantity: 1 }] }),
    });
    expect(response.status).toBe(503);
    await proxy.start();
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 1 });
    await eventually(
      () =>
        one(deps, sku).then(
          () => true,
          () => false,
        ),
      "the recovery",
    );
  }, 60_000);
});

test("a sweep that meets a reservation it cannot end goes on with the others", async () => {
  const sku = await stock.sku(10);
  const broken = await one(t.deps, sku, 1, 30);
  const { id } = await one(t.deps, sku, 1, 60);
  await reservationModel(t.deps.mongo.connection).updateOne(
    { _id: broken.id },
    { $set: { "lines.0.allocations.0.locationId": "nowhere" } },
  );
  const later = await another({ now: () => after(t.clock.now(), 2 * MINUTE) });
  expect(await expireDue(later)).toBe(1);
  expect((await t.deps.inventory.findReservation(id))?.status).toBe("expired");
  await reservationModel(t.deps.mongo.connection).updateOne(
    { _id: broken.id },
    { $set: { "lines.0.allocations.0.locationId": stock.locationId } },
  );
  expect(await expireDue(later)).toBe(1);
  expect(await stock.differences()).toEqual([]);
});

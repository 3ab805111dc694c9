import { beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, eventsOf, sent, sessionsOf } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { around } from "../../test/interleave";
import { startProgram } from "../../test/processes";
import type { Actor } from "../lib/actor";
import { DAY, HOUR, SECOND } from "../lib/clock";
import type { Permission } from "../lib/permissions";
import { buildProduct } from "../products/build";
import { RETENTION } from "./intake/time";
import { track } from "./intake/track";
import { analyticsJobs, removeExpired } from "./jobs";
import { erasePersonAnalytics } from "./person";
import { updatePopularity } from "./popularity";
import { rebuild } from "./rebuild";
import { emptyBucket } from "./rollups/buckets";
import { addDocument } from "./rollups/documents";
import { settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const ago = (milliseconds: number) => ({
  timestamp: new Date(t.clock.now().getTime() - milliseconds).toISOString(),
});

describe("retention", () => {
  test("removes what is older than 13 months, and keeps the reports of it", async () => {
    await sent(t, {
      batch: [anEvent(ago(RETENTION - 3 * DAY)), anEvent(ago(RETENTION - 10 * DAY)), anEvent(ago(0))],
    });
    await settle(t.deps);
    expect(await sessionsOf(t).countDocuments()).toBe(3);
    t.clock.advance(5 * DAY);
    await removeExpired(t.deps);
    expect(await eventsOf(t).countDocuments()).toBe(2);
    expect(await sessionsOf(t).countDocuments()).toBe(2);
    const days = {
      level: "day",
      kind: "totals",
      bot: false,
      range: { from: new Date(0), to: new Date(8e15) },
    } as const;
    expect(await t.deps.analytics.rollups.find(days)).toHaveLength(3);
    t.clock.advance(-5 * DAY);
  });

  test("makes no old customer a new one, also when all is counted again; only who left no trace is new", async () => {
    const before = t.clock.now();
    const visit = (anonymousId: string, age: number) => anEvent({ anonymousId, ...ago(age) });
    const newcomers = async (range: { from: Date; to: Date }) => {
      await settle(t.deps);
      const bucket = emptyBucket();
      const days = await t.deps.analytics.rollups.find({ level: "day", bot: false, range });
      for (const document of days) addDocument(bucket, document);
      const bySource = [...bucket.rows.sources.values()].reduce((sum, row) => sum + (row[3] ?? 0), 0);
      expect(bySource).toBe(bucket.newVisitors.size);
      return bucket.newVisitors.size;
    };
    const since = (days: number) => ({
      from: new Date(t.clock.now().getTime() - days * DAY),
      to: new Date(8e15),
    });
    await sent(t, {
      batch: [
        visit("old", RETENTION - 3 * DAY),
        visit("old", RETENTION - 8 * DAY),
        visit("old", 20 * DAY),
        visit("recent", 10 * DAY),
      ],
    });
    expect(await newcomers(since(300))).toBe(1);
    // The first visit goes, then the second one, and each time something near what is left is counted again.
    for (const days of [5, 5]) {
      t.clock.advance(days * DAY);
      await removeExpired(t.deps);
      expect(await newcomers(since(350))).toBe(1);
      await sent(t, { batch: [visit("old", 5 * DAY), visit("recent", 5 * DAY)] });
      expect(await newcomers(since(350))).toBe(1);
      await rebuild(t.deps);
      expect(await newcomers(since(350))).toBe(1);
    }
    expect(await sessionsOf(t).countDocuments({ visitor: "d:old" })).toBe(3);
    // Who does not come for 13 months is forgotten.
    const remembered = () =>
      t.deps.mongo.connection
        .collection<{ _id: string }>("analyticsState")
        .countDocuments({ _id: "returning:d:old" });
    expect(await remembered()).toBe(1);
    t.clock.advance(RETENTION + 2 * DAY);
    await removeExpired(t.deps);
    expect(await remembered()).toBe(0);
    await sent(t, { batch: [visit("old", 0)] });
    expect(await newcomers(since(2))).toBe(1);
    t.clock.set(before);
  }, 60_000);

  test("what is remembered of who came back goes with an erasure", async () => {
    const before = t.clock.now();
    const visit = (age: number) => anEvent({ anonymousId: "ida-phone", userId: "ida", ...ago(age) });
    await sent(t, { batch: [visit(RETENTION - 3 * DAY), visit(0)] });
    await settle(t.deps);
    t.clock.advance(5 * DAY);
    await removeExpired(t.deps);
    const state = t.deps.mongo.connection.collection<{ _id: string }>("analyticsState");
    expect(await state.countDocuments({ _id: "returning:u:ida" })).toBe(1);
    await erasePersonAnalytics(t.deps, "ida");
    expect(await state.countDocuments({ _id: "returning:u:ida" })).toBe(0);
    t.clock.set(before);
  });

  test("runs by itself every day, also when nobody visits any more", async () => {
    await sent(t, { batch: [anEvent(ago(RETENTION - 3 * DAY))] });
    for (let day = 0; day < 6; day++) {
      t.clock.advance(DAY);
      await t.runner.runDue();
    }
    expect(await eventsOf(t).countDocuments()).toBe(0);
    // What was done days ago is forgotten: at most two days of hours and a few more are left.
    const jobs = t.deps.mongo.connection.collection("jobs");
    expect(
      await jobs.countDocuments({ finishedAt: { $lt: new Date(t.clock.now().getTime() - 3 * DAY) } }),
    ).toBe(0);
    t.clock.advance(-6 * DAY);
  });
});

describe("popularity", () => {
  const product = async (name: string, popularity: number) => {
    const document = {
      ...(await buildProduct(t.deps, t.deps.random.id(), { name, price: 100 }, [])),
      popularity,
    };
    await t.deps.products.create([document]);
    return document;
  };
  const popularityOf = async (id: string) => (await t.deps.products.findById(id))?.popularity;
  const update = async () => {
    await settle(t.deps);
    await updatePopularity(t.deps);
  };

  test("grows with what people do, weighted, decays by half in seven days, and bots do not count", async () => {
    const lamp = await product("Lamp", 0);
    const chair = await product("Chair", 50);
    const about = (event: string, id: string, more = {}) => {
      const line = { product_id: id, quantity: 1 };
      return anEvent({
        event,
        properties: event === "Order Completed" ? { products: [line] } : line,
        ...more,
      });
    };
    await sent(t, {
      batch: [
        about("Product Viewed", lamp._id),
        about("Product Viewed", lamp._id),
        about("Product Added", lamp._id),
        about("Order Completed", lamp._id),
        about("Product Viewed", chair._id, ago(7 * DAY)),
        about("Product Viewed", "no such product"),
      ],
    });
    await sent(
      t,
      { batch: [about("Product Viewed", chair._id)] },
      { headers: { "user-agent": "curl/8.5.0" } },
    );
    await update();
    expect(await popularityOf(lamp._id)).toBe(16);
    expect(await popularityOf(chair._id)).toBe(50.5);
    await update();
    expect(await popularityOf(lamp._id)).toBe(16);
    const before = await t.deps.products.findById(lamp._id);
    t.clock.advance(7 * DAY);
    await update();
    expect(await popularityOf(lamp._id)).toBe(8);
    expect(await popularityOf(chair._id)).toBe(50.25);
    // It is no edit: nobody's If-Match fails for it.
    expect(await t.deps.products.findById(lamp._id)).toEqual({ ...before, popularity: 8 } as typeof before);
    t.clock.advance(200 * DAY);
    await update();
    expect(await popularityOf(lamp._id)).toBe(0);
    expect(await popularityOf(chair._id)).toBe(50);
    t.clock.advance(-207 * DAY);
  });

  test("an edit that read the product before the write makes no new base", async () => {
    const desk = await product("Desk", 10);
    const view = () => anEvent({ properties: { product_id: desk._id } });
    await sent(t, { batch: [view(), view()] });
    await update();
    await sent(t, { batch: [view(), view(), view()] });
    // It reads 12, then popularity becomes 15, then it writes 12 back.
    const undo = around(t.deps.products, "replace", { before: update });
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const answer = await t.request(`/api/products/${desk._id}`, {
      method: "PATCH",
      json: { name: "Writing desk" },
      token: accessToken,
    });
    undo();
    expect(answer.status).toBe(200);
    await update();
    expect(await popularityOf(desk._id)).toBe(15);
    t.clock.advance(100 * DAY);
    await update();
    expect(await popularityOf(desk._id)).toBe(10);
    t.clock.advance(-100 * DAY);
  }, 30_000);

  test("sorts the catalogue, by jobs alone: what people look at comes up, and sinks again", async () => {
    let token = "";
    const signIn = async () => {
      token = (await t.signIn({ roles: ["manager"] })).accessToken;
    };
    await signIn();
    const make = async (name: string) => {
      const json = { name, price: 100, brand: "Sorted", status: "active" };
      const answer = await t.request("/api/products", { method: "POST", json, token });
      expect(answer.status).toBe(201);
      return ((await answer.json()) as { data: { id: string } }).data.id;
    };
    const [quiet, seen, bought] = [await make("Quiet"), await make("Seen"), await make("Bought")];
    const order = async () => {
      const answer = await t.request("/api/products?sort=-popularity&filter[brand]=Sorted");
      return ((await answer.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
    };
    const view = (product_id: string) => anEvent({ properties: { product_id } });
    await sent(t, {
      batch: [
        ...Array.from({ length: 3 }, () => view(seen)),
        anEvent({ event: "Order Completed", properties: { products: [{ product_id: bought }] } }),
      ],
    });
    const later = async (milliseconds: number) => {
      t.clock.advance(milliseconds);
      await t.runner.runDue();
    };
    await later(10 * SECOND);
    await later(HOUR);
    expect(await order()).toEqual([bought, seen, quiet]);
    // Two weeks later the order counts for less than what is looked at today.
    await later(14 * DAY);
    await sent(t, { batch: [view(quiet), view(quiet), view(quiet), view(quiet)] });
    await later(10 * SECOND);
    await later(HOUR);
    expect(await order()).toEqual([quiet, bought, seen]);
    t.clock.advance(-14 * DAY - 2 * HOUR - 20 * SECOND);
  }, 60_000);

  test("keeps a base that the catalogue sets anew", async () => {
    const sofa = await product("Sofa", 10);
    const view = () => anEvent({ properties: { product_id: sofa._id } });
    await sent(t, { batch: [view(), view()] });
    await update();
    expect(await popularityOf(sofa._id)).toBe(12);
    await t.deps.products.replace({ ...sofa, popularity: 100 }, sofa.version);
    await update();
    expect(await popularityOf(sofa._id)).toBe(102);
    await sent(t, { batch: [view()] });
    await update();
    expect(await popularityOf(sofa._id)).toBe(103);
  });
});

describe("API keys", () => {
  const actor = (...permissions: Permission[]): Actor => ({
    kind: "apiKey",
    callerId: "key:1",
    userId: "owner",
    sessionId: null,
    permissions: new Set(permissions),
  });
  const from = (key: Actor) => ({
    actor: key,
    address: "10.0.0.1",
    userAgent: "shop-server/1.0",
    doNotTrack: true,
  });

  test("send for others: the visitor's address and browser come with the event, not from the server", async () => {
    const result = await track(t.deps, from(actor("analytics:write")), {
      batch: [
        anEvent({ anonymousId: undefined, userId: "ann" }),
        anEvent({ anonymousId: undefined, context: { ip: "203.0.113.9", userAgent: "curl/8.5.0" } }),
        anEvent({ anonymousId: undefined }),
      ],
    });
    expect(result).toMatchObject({ accepted: 2, rejected: [{ index: 2, code: "no_visitor" }] });
    const rows = await eventsOf(t).find({}).toArray();
    const of = (userId: string | null) => rows.find((row) => row.userId === userId);
    expect(of("ann")).toMatchObject({ origin: "server", address: null, bot: false });
    expect(of(null)).toMatchObject({ origin: "server", address: "203.0.113.0", bot: true });
  });

  test("need analytics:write", async () => {
    const refused = track(t.deps, from(actor("analytics:read")), { batch: [anEvent()] });
    await expect(refused).rejects.toMatchObject({ code: "forbidden" });
  });
});

describe("a process that stops", () => {
  const nobody = { requestId: null, traceparent: null };
  const context = (signal: AbortSignal) => ({
    job: {
      id: "j",
      kind: "k",
      payload: {},
      progress: null,
      attempts: 1,
      maxAttempts: 8,
      fence: 1,
      ...nobody,
    },
    saveProgress: async () => undefined,
    signal,
  });

  const handlerOf = (kind: string) => (signal: AbortSignal) => analyticsJobs(t.deps)[kind]?.(context(signal));
  const marks = () => t.deps.mongo.connection.collection("analyticsDirty").countDocuments();

  /** Holds that the work is not done by a job that stops, and is by the next one. */
  async function leftAndDone(kind: string, isDone: () => Promise<boolean>): Promise<void> {
    const handler = handlerOf(kind);
    await expect(handler(AbortSignal.abort())).rejects.toThrow();
    expect(await isDone()).toBe(false);
    await handler(new AbortController().signal);
    expect(await isDone()).toBe(true);
  }

  test("leaves rollups to the next one", async () => {
    await sent(t, { batch: [anEvent()] });
    await leftAndDone(
      "analytics.settle",
      async () => (await marks()) + (await eventsOf(t).countDocuments({ todo: 1 })) === 0,
    );
  });

  test("leaves popularity to the next one", async () => {
    const id = t.deps.random.id();
    const document = await buildProduct(t.deps, id, { name: "Stool", price: 100 }, []);
    await t.deps.products.create([document]);
    await sent(t, { batch: [anEvent({ properties: { product_id: id } })] });
    await settle(t.deps);
    await leftAndDone(
      "analytics.popularity",
      async () => (await t.deps.products.findById(id))?.popularity === document.popularity + 1,
    );
  });

  test("leaves what is too old to the next one", async () => {
    await sent(t, { batch: [anEvent(ago(RETENTION - 3 * DAY))] });
    t.clock.advance(5 * DAY);
    await leftAndDone("analytics.daily", async () => (await eventsOf(t).countDocuments()) === 0);
    t.clock.advance(-5 * DAY);
  });

  test("a job that meets the settling of a report leaves to later ones what the report leaves", async () => {
    await sent(t, { batch: Array.from({ length: 200 }, (_, index) => anEvent(ago(index * HOUR))) });
    const short = settle(t.deps, { limit: 0 });
    await handlerOf("analytics.settle")(new AbortController().signal);
    await short;
    for (let slot = 0; slot < 10 && (await marks()) > 0; slot++) {
      t.clock.advance(6 * SECOND);
      await t.runner.runDue();
    }
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    expect(await marks()).toBe(0);
  }, 60_000);
});

describe("two processes", () => {
  test("settle, one of them killed between sessions and rollups: nothing is lost and nothing counted twice", async () => {
    const now = t.clock.now().getTime();
    const events = Array.from({ length: 2500 }, (_, index) =>
      anEvent({ anonymousId: `d${index % 200}`, ...ago((index * HOUR) / 50) }),
    );
    for (let index = 0; index < events.length; index += 500) {
      await sent(t, { batch: events.slice(index, index + 500) });
    }
    const killed = startProgram(["test/programs/settle.ts", "halt"]);
    await killed.line(/sessions made/);
    expect(await t.deps.mongo.connection.collection("analyticsDirty").countDocuments()).toBeGreaterThan(100);
    const other = startProgram(["test/programs/settle.ts"]);
    await other.line(/settling/);
    await killed.kill();
    expect(await other.ended()).toBe(0);
    await settle(t.deps);
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    const sum = async (pipeline: object[]) =>
      (await sessionsOf(t).aggregate<{ n: number }>(pipeline).toArray())[0]?.n;
    expect(await sum([{ $group: { _id: null, n: { $sum: "$counts.events" } } }])).toBe(2500);
    const all = { from: new Date(now - 30 * DAY), to: new Date(now + DAY) };
    const totals = await t.deps.analytics.rollups.find({
      level: "day",
      kind: "totals",
      bot: false,
      range: all,
    });
    const counts = totals.map(({ totals }) => (totals as { counts: Record<string, number> }).counts);
    expect(counts.reduce((total, { events = 0 }) => total + events, 0)).toBe(2500);
    expect(counts.reduce((total, { sessions = 0 }) => total + sessions, 0)).toBe(
      await sessionsOf(t).countDocuments(),
    );
  }, 120_000);
});

import { beforeEach, describe, expect, test } from "bun:test";
import { mongo as driver } from "mongoose";
import { ARRIVAL, anEvent, emptyAnalytics, eventsOf, sent, settleElsewhere } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { around, gate } from "../../test/interleave";
import { eventually } from "../../test/processes";
import { DAY, MINUTE, SECOND } from "../lib/clock";
import { readBatch } from "./intake/read";
import { analyticsJobs } from "./jobs";
import { overviewReport } from "./reports/overview";
import { periodQuery, topQuery } from "./reports/schema";
import { searchesReport } from "./reports/searches";
import { addRow, emptyBucket, type Totals } from "./rollups/buckets";
import { addDocument, toDocuments } from "./rollups/documents";
import { settleRollups } from "./rollups/recompute";
import { nextLimit, STEP, settle, settleForReader } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

/** The begin of the day of UTC before this one. */
const dayBefore = () => (Math.floor(t.clock.now().getTime() / DAY) - 1) * DAY;
const overview = () => overviewReport(t.deps, periodQuery.parse({}));
const marks = () => t.deps.mongo.connection.collection("analyticsDirty").countDocuments();
/** Searches that the days' rollups count. */
const stored = async () => {
  const range = { from: new Date(dayBefore()), to: new Date(dayBefore() + DAY) };
  const days = await t.deps.analytics.rollups.find({ level: "day", kind: "totals", bot: false, range });
  return days.reduce((sum, { totals }) => sum + ((totals as Totals | undefined)?.counts.searches ?? 0), 0);
};
const levels = async () =>
  (await t.deps.mongo.connection.collection("analyticsRollups").distinct("level")).sort();
const nobody = { requestId: null, traceparent: null };
const context = (signal = new AbortController().signal) => ({
  job: { id: "j", kind: "k", payload: {}, progress: null, attempts: 1, maxAttempts: 8, fence: 1, ...nobody },
  saveProgress: async () => undefined,
  signal,
});

/** Settles as another process that holds the guard until the returned function is called. */
async function holdGuard(): Promise<() => Promise<void>> {
  const held = gate();
  const holding = t.deps.mongo.transaction(async (tx) => {
    await t.deps.analytics.queue.guard(tx);
    await held.wait();
  });
  await held.reached;
  return () => {
    held.open();
    return holding;
  };
}

test("steps grow where full ones are quick, and shrink before they come near the limit of a transaction", () => {
  const quick = { settled: 1000, read: 1000, took: 100 };
  expect(nextLimit(1000, quick)).toBe(2000);
  expect(nextLimit(STEP, { ...quick, settled: STEP })).toBe(STEP);
  // One of few events tells nothing of larger ones.
  expect(nextLimit(1000, { ...quick, settled: 999 })).toBe(1000);
  expect(nextLimit(1000, { ...quick, took: 1500 })).toBe(1000);
  expect(nextLimit(1000, { ...quick, read: 100_000 })).toBe(1000);
  expect(nextLimit(1000, { ...quick, took: 2001 })).toBe(500);
  expect(nextLimit(1000, { ...quick, read: 150_001 })).toBe(500);
  // Unless even those took long: half of them.
  expect(nextLimit(1000, { ...quick, settled: 30, took: 5000 })).toBe(15);
  expect(nextLimit(1, { settled: 1, read: 1, took: 5000 })).toBe(1);
  expect(nextLimit(1, { settled: 0, read: 0, took: 5000 })).toBe(1);
});

test("what a step of a settling learned of a slow machine, the next settling knows", async () => {
  const send = () =>
    sent(t, { batch: Array.from({ length: 150 }, (_, n) => anEvent({ anonymousId: `d${n}` })) });
  await send();
  const sizes: number[] = [];
  const { settle: settleEvents } = t.deps.analytics.queue;
  // Somebody else changes one of its events each time before it can: a conflict, until its time is over.
  t.deps.analytics.queue.settle = async (ids, tx) => {
    sizes.push(ids.length);
    if (ids.length > 100) await eventsOf(t).updateOne({ _id: ids[0] as never }, { $inc: { touched: 1 } });
    return settleEvents(ids, tx);
  };
  try {
    expect(await settle(t.deps)).toBe(true);
    // Done in halves.
    expect(sizes[0]).toBe(150);
    expect(sizes.slice(-2)).toEqual([75, 75]);
    await send();
    sizes.length = 0;
    expect(await settle(t.deps)).toBe(true);
    expect(sizes[0]).toBe(75);
    expect(sizes.filter((size) => size > 100)).toEqual([]);
  } finally {
    t.deps.analytics.queue.settle = settleEvents;
  }
  expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
});

describe("under steady traffic", () => {
  test("rollups are made though something new waits each time", async () => {
    await sent(t, { batch: [anEvent()] });
    const undo = around(t.deps.analytics.queue, "pending", {
      before: () => sent(t, { batch: [anEvent()] }),
      times: Number.POSITIVE_INFINITY,
    });
    await settle(t.deps, { limit: 3 * SECOND });
    undo();
    expect(await levels()).toEqual(["day", "quarter"]);
  });
});

describe("a job", () => {
  const waiting = () =>
    t.deps.mongo.connection.collection("jobs").countDocuments({
      kind: "analytics.settle",
      status: "waiting",
      runAt: { $gt: t.clock.now() },
    });

  test("does not wait for the settling that runs in its process; a later one does what is left", async () => {
    await sent(t, { batch: [anEvent()] });
    const held = gate();
    const undo = around(t.deps.analytics.queue, "guard", { before: held.wait });
    const running = settle(t.deps);
    await held.reached;
    t.clock.advance(6 * SECOND);
    await t.deps.mongo.connection.collection("jobs").deleteMany({ kind: "analytics.settle" });
    await analyticsJobs(t.deps)["analytics.settle"]?.(context());
    expect(await waiting()).toBe(1);
    held.open();
    await running;
    undo();
    await sent(t, { batch: [anEvent()] });
    t.clock.advance(6 * SECOND);
    await t.runner.runDue();
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    expect(await marks()).toBe(0);
  });

  test("leaves to a later one what another process keeps it from", async () => {
    await sent(t, { batch: [anEvent()] });
    t.clock.advance(6 * SECOND);
    const release = await holdGuard();
    await t.deps.mongo.connection.collection("jobs").deleteMany({ kind: "analytics.settle" });
    await analyticsJobs(t.deps)["analytics.settle"]?.(context());
    expect(await waiting()).toBe(1);
    await release();
    t.clock.advance(6 * SECOND);
    await t.runner.runDue();
    expect(await marks()).toBe(0);
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
  }, 30_000);
});

describe("a report", () => {
  test("waits no longer than 1.5 s, also for work that it began itself; the work goes on behind", async () => {
    await sent(t, { batch: [anEvent()] });
    const release = await holdGuard();
    const before = performance.now();
    expect(await overview()).toMatchObject({ complete: false, events: 0 });
    expect(performance.now() - before).toBeLessThan(3 * SECOND);
    await release();
    await eventually(async () => (await eventsOf(t).countDocuments({ todo: 1 })) === 0, "the settling");
    expect(await overview()).toMatchObject({ events: 1 });
  }, 30_000);

  test("answers what was counted before when settling fails", async () => {
    await sent(t, { batch: [anEvent()] });
    await settle(t.deps);
    const undo = around(t.deps.analytics.queue, "pending", {
      before: () => Promise.reject(new Error("broken")),
    });
    expect(await overview()).toMatchObject({ complete: false, events: 1 });
    undo();
    expect(await settleForReader(t.deps)).toBe(true);
  });
});

test("a database that goes away in a step costs no event its session", async () => {
  await sent(t, { batch: [anEvent()] });
  const gone = () => Promise.reject(new driver.MongoNetworkError("connection 1 to 127.0.0.1 closed"));
  const undo = around(t.deps.analytics.sessions, "replace", {
    before: gone,
    times: Number.POSITIVE_INFINITY,
  });
  expect(await settle(t.deps).catch((error: Error) => error.name)).toBe("MongoNetworkError");
  expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(1);
  undo();
  expect(await settle(t.deps)).toBe(true);
  expect(await overview()).toMatchObject({ complete: true, sessions: 1 });
});

describe("rollups", () => {
  test("that another process has made meanwhile are not made again", async () => {
    await sent(t, { batch: [anEvent()] });
    let made = 0;
    const count = around(t.deps.analytics.rollups, "replace", {
      before: () => void made++,
      times: Number.POSITIVE_INFINITY,
    });
    const undo = around(t.deps.analytics.rollups, "clearMarks", { before: () => settleElsewhere(t) });
    expect(await settle(t.deps)).toBe(true);
    undo();
    count();
    // The quarter and the day.
    expect(made).toBe(2);
    expect(await overview()).toMatchObject({ complete: true, events: 1 });
  });

  test("that cannot be made keep no others from being made, and are made later", async () => {
    const begin = dayBefore();
    const quarters = Array.from({ length: 4 }, (_, index) => new Date(begin + index * 15 * MINUTE));
    await sent(t, { batch: quarters.map((time) => anEvent({ timestamp: time.toISOString() })) });
    // All four, the first half of them, and the first alone.
    const undo = around(t.deps.analytics.rollups, "replace", {
      before: () => Promise.reject(new Error("broken")),
      times: 3,
    });
    expect(await settle(t.deps)).toBe(false);
    undo();
    expect(await marks()).toBe(1);
    const range = { from: new Date(begin), to: new Date(begin + DAY) };
    const days = await t.deps.analytics.rollups.find({ level: "day", kind: "totals", bot: false, range });
    expect(days).toMatchObject([{ totals: { counts: { events: 3 } } }]);
    expect(await settle(t.deps)).toBe(true);
    expect(await overview()).toMatchObject({ complete: true, events: 4 });
  });

  test("of any size fit into documents and add up to what they were", () => {
    const bucket = emptyBucket();
    bucket.totals.counts.events = 1;
    for (let visitor = 0; visitor < 510_000; visitor++) {
      bucket.visitors.add(visitor);
      if (visitor % 10 > 0) bucket.newVisitors.add(visitor);
    }
    for (let row = 0; row < 15_000; row++) {
      addRow(bucket.rows.searches, `${row}${"\u0001".repeat(195)}`, [1, 0, 0, 0, 0, 0]);
      addRow(bucket.rows.categories, `${row}${"語".repeat(195)}`, [1, 0, 0]);
    }
    const documents = toDocuments("day", new Date(0), false, bucket);
    const sizes = documents.map((document) => driver.BSON.calculateObjectSize(document));
    expect(Math.max(...sizes)).toBeLessThan(16 * 1024 * 1024);
    expect(new Set(documents.map(({ _id }) => _id)).size).toBe(documents.length);
    const sum = emptyBucket();
    for (const document of documents) addDocument(sum, document);
    expect(Bun.deepEquals(sum, bucket)).toBe(true);
  });

  /** Stores searches of a quarter, every hundredth with a click, as if they had their sessions already. */
  async function storeSearches(begin: number, size: number): Promise<void> {
    const arrival = { ...ARRIVAL, receivedAt: t.clock.now() };
    const events = Array.from({ length: size }, (_, index) => {
      const timestamp = new Date(begin + (index % 14) * MINUTE).toISOString();
      const properties = { query: `${index}`, search_id: `s${begin}-${index}` };
      const search = { event: "Products Searched", timestamp, properties };
      return index % 100 === 0 ? [search, { ...search, event: "Product Clicked" }] : [search];
    }).flat();
    const documents = readBatch(events.map(anEvent), arrival).events.map(({ document }, index) => {
      // What earlier versions stored: a character that JSON writes in six.
      return {
        ...document,
        query: document.query === null ? null : `${index} ${"\u0001".repeat(190)}`,
      };
    });
    for (let index = 0; index < documents.length; index += 5000) {
      await eventsOf(t).insertMany(documents.slice(index, index + 5000));
    }
    await t.deps.analytics.rollups.mark("quarterHour", [new Date(begin)], t.deps.random.id());
  }

  test("are made of more events, and more text, than fit into one document", async () => {
    const begin = dayBefore();
    const size = 5200;
    await storeSearches(begin, size);
    await storeSearches(begin + 15 * MINUTE, 100);
    let made = 0;
    const undo = around(t.deps.analytics.rollups, "replace", {
      before: () => void made++,
      times: Number.POSITIVE_INFINITY,
    });
    expect(await settleRollups(t.deps, { all: true, stopped: () => false, busyFrom: size + 50 })).toBe(true);
    undo();
    // Both quarter-hours together would be too many for one transaction; and the day.
    expect(made).toBe(3);
    const report = await searchesReport(t.deps, topQuery.parse({}));
    expect(report).toMatchObject({
      complete: true,
      total: { searches: size + 100, clicks: (size + 100) / 100 },
    });
  }, 60_000);

  test("of one day are made together, also when they do not follow one another", async () => {
    const begin = dayBefore();
    for (const quarter of [0, 3, 4, 9, 40]) await storeSearches(begin + quarter * 15 * MINUTE, 2);
    let made = 0;
    const undo = around(t.deps.analytics.rollups, "replace", {
      before: () => void made++,
      times: Number.POSITIVE_INFINITY,
    });
    expect(await settleRollups(t.deps, { all: true, stopped: () => false })).toBe(true);
    undo();
    // Once for the quarter-hours, once for the day.
    expect(made).toBe(2);
    const report = await searchesReport(t.deps, topQuery.parse({}));
    expect(report).toMatchObject({ complete: true, total: { searches: 10 } });
    const quarters = await t.deps.analytics.rollups.times("quarterHour", new Date(0));
    expect(quarters.map((time) => (time.getTime() - begin) / (15 * MINUTE))).toEqual([0, 3, 4, 9, 40]);
  });

  test("are made from the newest on for whoever asks, page after page", async () => {
    const begin = dayBefore() - 12 * DAY;
    const every = Array.from({ length: 1200 }, (_, quarter) => new Date(begin + quarter * 15 * MINUTE));
    await t.deps.analytics.rollups.mark("quarterHour", every, "token");
    for (const quarter of [0, 600, 1199]) await storeSearches(begin + quarter * 15 * MINUTE, 2);
    let made = 0;
    const undo = around(t.deps.analytics.rollups, "replace", { after: () => void made++ });
    const newest = { all: true, first: "newest" } as const;
    const quarters = async () =>
      (await t.deps.analytics.rollups.times("quarterHour", new Date(0))).map(
        (time) => (time.getTime() - begin) / (15 * MINUTE),
      );
    expect(await settleRollups(t.deps, { ...newest, stopped: () => made === 1 })).toBe(false);
    undo();
    expect(await quarters()).toEqual([1199]);
    expect(await settleRollups(t.deps, { ...newest, stopped: () => false })).toBe(true);
    expect(await quarters()).toEqual([0, 600, 1199]);
    expect(await t.deps.analytics.rollups.marks("quarterHour", null, 1, "oldest")).toEqual([]);
    expect(await t.deps.analytics.rollups.marks("day", null, 1, "newest")).toEqual([]);
  });

  test("of a busy quarter-hour rest for some times what they took, unless everything is wanted", async () => {
    const begin = dayBefore();
    await storeSearches(begin, 40);
    // As a process of its own, in which nothing rests yet.
    const deps = { ...t.deps };
    const make = (all: boolean) =>
      settleRollups(deps, { all, stopped: () => false, busyFrom: 40, rest: 1e6 });
    const counted = async () => (await searchesReport(t.deps, topQuery.parse({}))).total.searches;
    expect(await make(false)).toBe(true);
    await storeSearches(begin, 1);
    expect(await make(false)).toBe(false);
    expect(await make(true)).toBe(true);
    expect(await counted()).toBe(41);
  });

  test("of a busy quarter-hour that changes while it is read are there, and made again; never put over newer ones", async () => {
    const begin = dayBefore();
    const make = (all = false) =>
      settleRollups({ ...t.deps }, { all, stopped: () => false, busyFrom: 5, rest: 0 });
    const searches = async () => (await searchesReport(t.deps, topQuery.parse({}))).total.searches;
    const whileRead = (before: () => Promise<unknown>) =>
      around(t.deps.analytics.rollups, "clearMarks", { before: async () => void (await before()) });

    await storeSearches(begin, 10);
    // Marked again, as by another process that gave more events their sessions: what was read is there, and the mark too.
    let undo = whileRead(() => storeSearches(begin, 3));
    expect(await make()).toBe(false);
    undo();
    expect([await marks(), await stored()]).toEqual([1, 10]);
    // A rebuild leaves it to whoever marked it.
    undo = whileRead(() => storeSearches(begin, 1));
    expect(await make(true)).toBe(true);
    undo();
    expect([await marks(), await stored()]).toEqual([1, 13]);
    expect(await make()).toBe(true);
    expect([await marks(), await searches()]).toEqual([0, 14]);

    // Made by another process: what was read before it is put nowhere, whether there is a newer mark or not.
    for (const more of [0, 2]) {
      await storeSearches(begin, 4);
      undo = whileRead(async () => {
        await storeSearches(begin, 5);
        await make();
        if (more > 0) await storeSearches(begin, more);
      });
      const before = await stored();
      expect(await make()).toBe(false);
      undo();
      expect([await marks(), await stored()]).toEqual([more === 0 ? 0 : 1, before + 9]);
    }
    expect(await make()).toBe(true);
    expect([await marks(), await searches()]).toEqual([0, 34]);
  });

  test("have no control characters in what people searched for and where they came from", async () => {
    await sent(t, {
      batch: [
        anEvent({
          event: "Products Searched",
          properties: { query: " a\u0001\u0000b\n" },
          context: { page: { url: "https://shop.example/?utm_source=x%01y&utm_medium=%7f" } },
        }),
      ],
    });
    expect(await eventsOf(t).findOne({})).toMatchObject({ query: "a b", source: "x y / campaign" });
  });
});

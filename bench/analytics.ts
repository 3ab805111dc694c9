/**
 * bench/analytics: how fast events are taken and how fast reports answer. `bun bench/analytics.ts [--quick]
 * [--check] [--events [--rate=N] | --reports | --rebuild]`, on databases of its own beside those that the environment names.
 *
 * Events: a server process with its jobs, 8 callers with batches of 50 events over HTTP for five minutes; its memory
 * is read from the operating system, and how far sessions and rollups are behind from the database when the load
 * ends. Reports: 2 million events of 35 days (views by Zipf's law, 3 % sent twice, 2 % late, 15 % of bots,
 * generated, seeded), every report over 30 days, beside about the same numbers aggregated from the raw events.
 * Rebuild, when it is asked for: a million such events, of which `bun run analytics:rebuild` makes all sessions and
 * rollups anew beside a server that takes events and shows the catalogue meanwhile.
 * Quick: 45 seconds, and 100,000 events. `--rate` offers so many a second instead of as many as are taken.
 */
import { readFileSync } from "node:fs";
import { MongoClient } from "mongodb";
import { type Arrival, readBatch } from "../src/analytics/intake/read";
import type { NewEvent } from "../src/analytics/model";
import type { SessionEvent } from "../src/analytics/queue.store";
import { funnelReport } from "../src/analytics/reports/funnel";
import { overviewReport, seriesReport } from "../src/analytics/reports/overview";
import { retentionReport } from "../src/analytics/reports/retention";
import {
  categoriesQuery,
  periodQuery,
  productsQuery,
  seriesQuery,
  topQuery,
} from "../src/analytics/reports/schema";
import { searchesReport } from "../src/analytics/reports/searches";
import { categoriesReport, productsReport, sourcesReport } from "../src/analytics/reports/tops";
import { attribute, byTime, sessionise } from "../src/analytics/sessions/sessionise";
import { settle } from "../src/analytics/settle";
import { parseConfig } from "../src/config";
import { buildIndexes } from "../src/db/indexes";
import { DAY, HOUR, MINUTE, SECOND, systemClock } from "../src/lib/clock";
import { silentLogger } from "../src/telemetry/log";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { BROWSER, seeded } from "../test/analytics";
import { startServer } from "../test/processes";
import { type Goal, load, onThrowAwayDatabases, options, percentile, reportGoals } from "./lib";

/** One half alone. */
const only = process.argv.includes("--events")
  ? "events"
  : process.argv.includes("--reports")
    ? "reports"
    : process.argv.includes("--rebuild")
      ? "rebuild"
      : null;

const CALLERS = 8;
const BATCH = 50;
const SECONDS = options.quick ? 45 : 300;
const EVENTS = options.quick ? 100_000 : only === "rebuild" ? 1_000_000 : 2_000_000;
const DAYS = 35;
const ZONE = "Europe/Berlin";
const RUNS = 9;

/** Events a second that are offered; as many as it takes when not given. */
const RATE = Number(
  process.argv.find((word) => word.startsWith("--rate="))?.slice("--rate=".length) ??
    Number.POSITIVE_INFINITY,
);

const GOAL_EVENTS = 3000;
const GOAL_GROWTH = 48;
const GOAL_WAIT = 30;
const GOAL_REPORT = 300;
/** Seconds that a rebuild of a million events may take. */
const GOAL_REBUILD = 600;

const BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

const residentMegabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

/** Takes events over HTTP. The memory is compared between the first fifth, when all is warm, and the end. */
async function ingest(): Promise<Goal[]> {
  const server = await startServer({ LOG_LEVEL: "info" });
  const memory: number[] = [];
  const watch = setInterval(() => memory.push(residentMegabytes(server.child.pid)), SECOND);
  const body = (index: number) => {
    const now = Date.now();
    const batch = Array.from({ length: BATCH }, (_, at) => ({
      messageId: `bench-${index}-${at}`,
      type: "track",
      event: at % 10 === 0 ? "Product Added" : "Product Viewed",
      // A visit of eight events after the other; one in ten is somebody who was here before.
      anonymousId: `device-${index % 10 === 0 ? (index * 7 + (at >> 3)) % 5000 : index * 7 + (at >> 3)}`,
      timestamp: new Date(now - (BATCH - at) * 100).toISOString(),
      properties: {
        product_id: `product-${(index + at) % 2000}`,
        category: "lamps",
        price: 19.99,
        currency: "USD",
      },
      context: {
        page: { url: "https://shop.example/lamps?utm_source=news", referrer: "https://www.google.com/" },
      },
    }));
    return JSON.stringify({ batch, sentAt: new Date(now).toISOString() });
  };
  const result = await load(
    CALLERS,
    SECONDS,
    async (index) => {
      const answer = await fetch(`${server.address}/api/analytics/events`, {
        method: "POST",
        headers: { "content-type": "application/json", "user-agent": BROWSER },
        body: body(index),
      });
      const { data } = (await answer.json()) as { data: { accepted: number } };
      if (answer.status !== 202 || data.accepted !== BATCH)
        throw new Error(`${answer.status} ${JSON.stringify(data)}`);
    },
    RATE / BATCH,
  );
  clearInterval(watch);
  const behind = await backlog();
  await server.kill("SIGTERM");
  const warm = percentile(memory.slice(Math.floor(memory.length / 10), Math.ceil(memory.length / 5)), 0.5);
  const end = percentile(memory.slice(-Math.ceil(memory.length / 10)), 0.5);
  console.log(
    `events: ${Math.round(result.perSecond * BATCH)} a second over ${SECONDS} s (batches of ${BATCH}, ${CALLERS} callers, ` +
      `sessions and rollups made meanwhile, see below); a batch ${result.p50.toFixed(1)} ms, 99 % below ${result.p99.toFixed(1)} ms; ` +
      `server memory ${warm.toFixed(0)} MB warm, ${end.toFixed(0)} MB at the end\n` +
      `when the load ended: the longest waiting event ${behind.eventAge.toFixed(1)} s old, the quarter of the oldest mark ` +
      `begun ${behind.markAge.toFixed(0)} s ago, ${behind.counted} of ${behind.stored} events in rollups of quarters, ` +
      `${behind.days} rollups of days`,
  );
  return [
    {
      name: "events taken",
      measured: result.perSecond * BATCH,
      unit: "/s",
      goal: [">=", Number.isFinite(RATE) ? RATE * 0.98 : GOAL_EVENTS],
    },
    { name: "growth of the server's memory", measured: end - warm, unit: "MB", goal: ["<=", GOAL_GROWTH] },
    { name: "rollups of days made meanwhile", measured: behind.days, unit: "", goal: [">=", 1] },
    // As many events as can be taken are more than sessions can be made of: those wait until the load is less.
    ...(Number.isFinite(RATE)
      ? [
          {
            name: "longest wait for a session",
            measured: behind.eventAge,
            unit: "s",
            goal: ["<=", GOAL_WAIT] as ["<=", number],
          },
        ]
      : []),
  ];
}

/** How far sessions and rollups are behind the events: ages in seconds, 0 when nothing waits. */
async function backlog() {
  const client = await MongoClient.connect(process.env.MONGODB_URI ?? "");
  const db = client.db();
  const now = Date.now();
  const age = (time: Date | undefined) => (time === undefined ? 0 : (now - time.getTime()) / SECOND);
  const [event] = await db
    .collection("analytics")
    .find({ todo: 1 })
    .sort({ receivedAt: 1 })
    .limit(1)
    .toArray();
  const [mark] = await db
    .collection("analyticsDirty")
    .find({ level: "quarterHour" })
    .sort({ at: 1 })
    .limit(1)
    .toArray();
  const rollups = db.collection("analyticsRollups");
  const quarters = await rollups.find({ level: "quarterHour", totals: { $exists: true } }).toArray();
  const result = {
    eventAge: age(event?.receivedAt),
    markAge: age(mark?.at),
    stored: await db.collection("analytics").countDocuments(),
    counted: quarters.reduce((sum, { totals }) => sum + totals.counts.events, 0),
    days: await rollups.countDocuments({ level: "day", kind: "totals" }),
  };
  await client.close();
  return result;
}

/** Draws ranks from 0 by Zipf's law: the k-th is drawn 1/k as often as the first. */
function zipf(size: number, random: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= size; rank++) {
    sum += 1 / rank;
    sums.push(sum);
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    for (let high = size - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** A visit: some views, now and then a search with clicks, an addition, an order. */
function visit(
  random: () => number,
  product: () => number,
  number: number,
  start: number,
): Record<string, unknown>[] {
  const bot = random() < 0.15;
  const visitor = bot
    ? `bot-${Math.floor(random() * 200)}`
    : `visitor-${Math.floor(random() ** 1.5 * 60_000)}`;
  const person = !bot && random() < 0.15 ? `person-${visitor}` : undefined;
  const referrer = ["", "https://www.google.com/", "https://news.example/", "https://blog.example/x"][
    Math.floor(random() * 4)
  ];
  const length = 1 + Math.floor(-Math.log(1 - random()) * 7);
  let time = start;
  let search: string | undefined;
  let last = `product-${product()}`;
  return Array.from({ length }, (_, at) => {
    time += Math.floor(random() * 3 * MINUTE);
    const chance = random();
    const base = {
      messageId: `e-${number}-${at}`,
      anonymousId: visitor,
      ...(person !== undefined && at > 1 ? { userId: person } : {}),
      timestamp: new Date(time).toISOString(),
      context: {
        userAgent: bot ? BOT : BROWSER,
        page: { url: `https://shop.example/p${at}`, referrer: at === 0 ? referrer : "https://shop.example/" },
      },
    };
    const track = (event: string, properties: Record<string, unknown>) => ({
      ...base,
      type: "track",
      event,
      properties,
    });
    if (chance < 0.2) return { ...base, type: "page", name: "Page" };
    if (chance < 0.3) {
      search = `s-${number}-${at}`;
      return track("Products Searched", {
        search_id: search,
        query: `query ${product() % 500}`,
        results: random() < 0.1 ? 0 : 12,
      });
    }
    if (chance < 0.4 && search !== undefined) {
      last = `product-${product()}`;
      return track("Product Clicked", { search_id: search, product_id: last, position: 1 });
    }
    if (chance < 0.48)
      return track("Product Added", { product_id: last, category: `category-${last.length}`, quantity: 1 });
    if (chance < 0.5)
      return track("Order Completed", {
        order_id: base.messageId,
        total: 49.9,
        currency: "EUR",
        products: [{ product_id: last, quantity: 1 }],
      });
    last = `product-${product()}`;
    return track("Product Viewed", {
      product_id: last,
      category: `category-${Number(last.slice(8)) % 40}`,
      price: 9.99,
    });
  });
}

/**
 * Stores the events as the route does, only in larger batches; makes sessions of all but the last hours with
 * the functions of settling in memory, because a backlog of millions is not what is measured, and
 * leaves the last hours and every rollup to it.
 */
async function fill(deps: Deps, now: number): Promise<void> {
  const random = seeded(20_261_123);
  const product = zipf(3000, random);
  const arrival: Arrival = {
    origin: "browser",
    userId: null,
    address: "203.0.113.7",
    userAgent: BROWSER,
    doNotTrack: false,
    receivedAt: new Date(now),
    sentAt: null,
    context: null,
  };
  const known: SessionEvent[] = [];
  const late: NewEvent[] = [];
  let events: NewEvent[] = [];
  let settled: string[] = [];
  let stored = 0;
  let sent = 0;
  const started = performance.now();
  const flush = async () => {
    const distinct = [...new Map(events.map((event) => [event._id, event])).values()];
    sent += events.length;
    stored += (await deps.analytics.events.insert(distinct)).size;
    await deps.analytics.queue.settle(settled);
    events = [];
    settled = [];
  };
  for (let number = 0; stored + events.length + late.length < EVENTS; number++) {
    const start = now - DAYS * DAY + ((stored + events.length) / EVENTS) * (DAYS * DAY - 2 * HOUR);
    for (const { document } of readBatch(visit(random, product, number, start), arrival).events) {
      // As if it had been sent when it happened, or hours later.
      document.receivedAt = document.at;
      if (document.at.getTime() < now - 12 * HOUR) {
        settled.push(document._id);
        known.push(forSessions(document));
      }
      const chance = random();
      if (chance < 0.02) late.push({ ...document, receivedAt: new Date(document.at.getTime() + 6 * HOUR) });
      else events.push(document);
      if (chance > 0.97) events.push(document);
    }
    if (events.length >= 5000) await flush();
  }
  await flush();
  for (events = late.splice(0, 5000); events.length > 0; events = late.splice(0, 5000)) await flush();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(0);
  console.log(`filled: ${stored} events stored of ${sent} sent, in ${seconds()} s`);

  const devices = Map.groupBy(known, ({ bot, device }) => (bot ? "" : device));
  devices.delete("");
  for (const [, own] of devices) {
    const visitors = attribute(own.sort(byTime));
    own.forEach((event, index) => {
      event.visitor = visitors[index] ?? event.visitor;
    });
  }
  const visitors = [...Map.groupBy(known, ({ visitor }) => visitor)];
  const moved = visitors.filter(([visitor]) => visitor.startsWith("u:"));
  const writes: [ids: string[], visitor: string][] = moved.map(([visitor, own]) => [
    own.map(({ _id }) => _id),
    visitor,
  ]);
  const sessions = visitors.flatMap(([visitor, own]) => sessionise(visitor, own.sort(byTime)));
  for (let index = 0; index < writes.length; index += 200) {
    await deps.mongo.transaction(async (tx) => {
      for (const [ids, visitor] of writes.slice(index, index + 200))
        await deps.analytics.queue.setVisitor(ids, visitor, tx);
    });
  }
  for (let index = 0; index < sessions.length; index += 2000) {
    await deps.mongo.transaction((tx) =>
      deps.analytics.sessions.replace([], sessions.slice(index, index + 2000), tx),
    );
  }
  const quarters = Array.from(
    { length: DAYS * 96 + 8 },
    (_, index) => new Date(now - DAYS * DAY + index * 15 * MINUTE),
  );
  await deps.analytics.rollups.mark("quarterHour", quarters, "bench");
  console.log(`sessions of all but the last hours: ${sessions.length}, at ${seconds()} s`);
  await settle(deps);
  console.log(`the last hours and every rollup: at ${seconds()} s`);
}

/** The fields that sessions are made from, so that two million events fit into memory. */
const forSessions = (event: NewEvent): SessionEvent => ({
  _id: event._id,
  kind: event.kind,
  at: event.at,
  sequence: event.sequence ?? 0,
  device: event.device,
  userId: event.userId,
  visitor: event.visitor,
  bot: event.bot,
  source: event.source,
  page: event.page,
  revenue: event.revenue,
  currency: event.currency,
  searchId: event.searchId,
  orderId: event.orderId,
});

/**
 * About the same numbers from the raw events, as plainly as MongoDB can say them. They leave out what costs most: a
 * visitor's day stands for a session, so there are no pauses, bounces and conversions; nor revenue, new visitors,
 * orders after searches and the order of the funnel's steps. Counting all of it would take longer.
 */
const people = (from: Date, to: Date) => ({ $match: { at: { $gte: from, $lt: to }, bot: false } });
const day = { $dateToString: { date: "$at", format: "%Y-%m-%d", timezone: ZONE } };
/** Weeks since a Monday: the local engine does not truncate to weeks (docs/engines.md). */
const week = {
  $dateDiff: {
    startDate: new Date("2024-01-01T00:00:00Z"),
    endDate: "$at",
    unit: "week",
    timezone: ZONE,
    startOfWeek: "monday",
  },
};
const oneIf = (kind: string) => ({ $sum: { $cond: [{ $eq: ["$kind", kind] }, 1, 0] } });
const RAW: Record<string, object[]> = {
  overview: [
    { $group: { _id: "$visitor", events: { $sum: 1 }, orders: oneIf("order") } },
    { $group: { _id: null, visitors: { $sum: 1 }, events: { $sum: "$events" } } },
  ],
  timeseries: [
    { $group: { _id: { day, visitor: "$visitor" }, events: { $sum: 1 } } },
    { $group: { _id: "$_id.day", visitors: { $sum: 1 }, events: { $sum: "$events" } } },
  ],
  products: [
    { $unwind: "$products" },
    { $group: { _id: "$products.id", views: oneIf("view"), adds: oneIf("add"), orders: oneIf("order") } },
    { $sort: { views: -1 } },
    { $limit: 20 },
  ],
  categories: [
    { $unwind: "$categories" },
    { $group: { _id: "$categories", views: oneIf("view"), adds: oneIf("add") } },
    { $sort: { views: -1 } },
    { $limit: 20 },
  ],
  funnel: [
    {
      $group: {
        _id: { visitor: "$visitor", day },
        viewed: oneIf("view"),
        added: oneIf("add"),
        ordered: oneIf("order"),
      },
    },
    {
      $group: {
        _id: null,
        viewed: { $sum: { $min: [1, "$viewed"] } },
        added: { $sum: { $min: [1, "$added"] } },
      },
    },
  ],
  searches: [
    { $match: { kind: { $in: ["search", "click"] } } },
    { $group: { _id: "$searchId", query: { $max: "$query" }, clicks: oneIf("click") } },
    { $group: { _id: "$query", searches: { $sum: 1 }, clicked: { $sum: { $min: [1, "$clicks"] } } } },
    { $sort: { searches: -1 } },
    { $limit: 20 },
  ],
  retention: [
    {
      $group: {
        _id: {
          visitor: "$visitor",
          week,
        },
      },
    },
    { $group: { _id: "$_id.visitor", weeks: { $push: "$_id.week" }, first: { $min: "$_id.week" } } },
    { $unwind: "$weeks" },
    { $group: { _id: { first: "$first", week: "$weeks" }, visitors: { $sum: 1 } } },
  ],
  sources: [
    { $group: { _id: { visitor: "$visitor", day }, source: { $first: "$source" } } },
    { $group: { _id: "$source", sessions: { $sum: 1 } } },
  ],
};

async function reports(deps: Deps, now: number): Promise<Goal[]> {
  const period = {
    from: new Date(now - 30 * DAY).toISOString(),
    to: new Date(now).toISOString(),
    timezone: ZONE,
  };
  const plain = periodQuery.parse(period);
  const calls: Record<string, () => Promise<object>> = {
    overview: () => overviewReport(deps, plain),
    timeseries: () => seriesReport(deps, seriesQuery.parse({ ...period, interval: "day" })),
    "timeseries by hour": () => seriesReport(deps, seriesQuery.parse({ ...period, interval: "hour" })),
    products: () => productsReport(deps, productsQuery.parse(period)),
    categories: () => categoriesReport(deps, categoriesQuery.parse(period)),
    funnel: () => funnelReport(deps, plain),
    searches: () => searchesReport(deps, topQuery.parse(period)),
    retention: () => retentionReport(deps, plain),
    sources: () => sourcesReport(deps, topQuery.parse(period)),
  };
  const client = await MongoClient.connect(process.env.MONGODB_URI ?? "");
  const raw = client.db().collection("analytics");
  const goals: Goal[] = [];
  console.log("\nreport               rollups (median, slowest)   raw       ratio");
  for (const [name, call] of Object.entries(calls)) {
    await call();
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const before = performance.now();
      await call();
      times.push(performance.now() - before);
    }
    const before = performance.now();
    const pipeline = RAW[name.split(" ")[0] ?? ""] ?? [];
    await raw
      .aggregate([people(new Date(now - 30 * DAY), new Date(now)), ...pipeline], { allowDiskUse: true })
      .toArray();
    const whole = performance.now() - before;
    const median = percentile(times, 0.5);
    console.log(
      `${name.padEnd(20)} ${median.toFixed(0).padStart(5)} ms  ${Math.max(...times)
        .toFixed(0)
        .padStart(5)} ms` +
        `      ${whole.toFixed(0).padStart(8)} ms  ${(whole / median).toFixed(1).padStart(6)}`,
    );
    goals.push({
      name: `${name}, slowest of ${RUNS}`,
      measured: Math.max(...times),
      unit: "ms",
      goal: ["<=", GOAL_REPORT],
    });
  }
  await client.close();
  return goals;
}

/** Rebuilds everything beside a server that goes on serving: 20 pages of products and 5 batches of 20 events a second. */
async function rebuildBesideServing(now: number): Promise<Goal[]> {
  const server = await startServer({ LOG_LEVEL: "info" });
  let done = false;
  const beside = async (rate: number, call: (index: number) => Promise<Response>): Promise<number[]> => {
    const times: number[] = [];
    const start = performance.now();
    for (let index = 0; !done; index++) {
      const early = start + (index / rate) * SECOND - performance.now();
      if (early > 0) await Bun.sleep(early);
      const before = performance.now();
      const answer = await call(index);
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`${answer.url}: ${answer.status}`);
      times.push(performance.now() - before);
    }
    return times;
  };
  const batch = (index: number) =>
    Array.from({ length: 20 }, (_, at) => ({
      messageId: `beside-${index}-${at}`,
      type: "page",
      anonymousId: `beside-${index}-${at >> 2}`,
      context: { page: { url: "https://shop.example/" } },
    }));
  const reads = beside(20, () => fetch(`${server.address}/api/products`));
  const events = beside(5, (index) =>
    fetch(`${server.address}/api/analytics/events`, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": BROWSER },
      body: JSON.stringify({ batch: batch(index) }),
    }),
  );
  const child = Bun.spawn([process.execPath, "src/analytics/rebuild.cli.ts"], {
    // Given, because the names of the databases were changed since the start.
    env: { ...process.env },
    stdout: "inherit",
    stderr: "inherit",
  });
  const code = await child.exited;
  const seconds = (systemClock.now().getTime() - now) / SECOND;
  done = true;
  const [pages, batches] = await Promise.all([reads, events]);
  await server.kill("SIGTERM");
  if (code !== 0) throw new Error("the rebuild failed; see above");
  const shown = (times: number[]) =>
    `${times.length}, median ${percentile(times, 0.5).toFixed(0)} ms, 95 % below ${percentile(times, 0.95).toFixed(0)} ms`;
  console.log(
    `rebuilt ${EVENTS} events in ${seconds.toFixed(0)} s; meanwhile pages of products: ${shown(pages)}; ` +
      `batches of 20 events: ${shown(batches)}`,
  );
  const scaled = GOAL_REBUILD * Math.min(1, EVENTS / 1_000_000);
  return [{ name: "rebuild beside serving", measured: seconds, unit: "s", goal: ["<=", scaled] }];
}

process.exit(
  await onThrowAwayDatabases(async () => {
    const goals = only === "reports" || only === "rebuild" ? [] : await ingest();
    if (only === "events") return reportGoals(goals);
    const deps = createDeps(parseConfig(process.env), silentLogger());
    await deps.mongo.connection.asPromise();
    for (const name of ["analytics", "sessions", "analyticsRollups", "analyticsDirty"]) {
      await deps.mongo.connection.collection(name).drop();
    }
    await buildIndexes(deps.mongo);
    const now = Math.floor(systemClock.now().getTime() / (15 * MINUTE)) * 15 * MINUTE;
    await fill(deps, now);
    if (only !== "rebuild") goals.push(...(await reports(deps, now)));
    await deps.close();
    if (only === "rebuild") goals.push(...(await rebuildBesideServing(systemClock.now().getTime())));
    return reportGoals(goals);
  }),
);

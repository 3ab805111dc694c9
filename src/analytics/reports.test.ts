import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  anEvent,
  emptyAnalytics,
  eventsOf,
  seeded,
  sent,
  sentByServer,
  storedSessions as sessionsAsText,
  sessionsOf,
  settleElsewhere,
} from "../../test/analytics";
import { type Ask, createOracle, cuts, type Oracle } from "../../test/analytics-oracle";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { DAY, HOUR, MINUTE } from "../lib/clock";
import { erasePersonAnalytics } from "./person";
import { rebuild } from "./rebuild";
import { intervalsOf } from "./reports/period";
import type { OverviewReport, SeriesReport } from "./reports/schema";
import { settle } from "./settle";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});
beforeEach(() => emptyAnalytics(t));

const REPORTS = [
  "overview",
  "timeseries",
  "products",
  "categories",
  "funnel",
  "searches",
  "retention",
  "sources",
];

const get = (path: string, query: Record<string, string> = {}, token?: string) =>
  t.request(`/api/analytics/${path}?${new URLSearchParams(query)}`, { token });

/** What a report answers to somebody who may read it; signed in anew when a test has moved the clock. */
// biome-ignore lint/suspicious/noExplicitAny: each test reads the fields of its own report.
async function report<Report = any>(name: string, query: Record<string, string> = {}): Promise<Report> {
  // A report waits for what came in for a moment only; these tests want all of it.
  await settle(t.deps);
  let answer = await get(`reports/${name}`, query, manager.accessToken);
  if (answer.status === 401) {
    manager = await t.signIn({ roles: ["manager"] });
    answer = await get(`reports/${name}`, query, manager.accessToken);
  }
  const body = await answer.json();
  if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(body)}`);
  return (body as { data: Report }).data;
}

const storedSessions = () => sessionsAsText(t);
const iso = (time: number | Date) => new Date(time).toISOString();
const BOT = { headers: { "user-agent": "curl/8.5.0" } };

describe("who may read", () => {
  /** Every route of analytics that reads, from the table of routes, so that a new one is in it; two want other rights. */
  const routes = () => {
    const reads = t.app.routes.filter(
      ({ method, path }) => method === "GET" && /^\/api\/analytics\/(?!write-keys|visitors)/.test(path),
    );
    return [...new Set(reads.map(({ path }) => path.replace("/api/analytics/", "").replace(/:\w+/, "x")))];
  };
  const keyWith = async (...permissions: string[]) => {
    const json = { name: "Server", permissions, password: manager.password };
    const answer = await t.request("/auth/api-keys", { method: "POST", json, token: manager.accessToken });
    return ((await answer.json()) as { data: { key: string } }).data.key;
  };
  const statuses = (token?: string) =>
    Promise.all(
      routes().map(async (path) => {
        const answer = await get(path, {}, token);
        await answer.body?.cancel();
        return [path, answer.status] as const;
      }),
    );

  test("nobody without analytics:read: no caller, a customer, a key that may do everything else", async () => {
    const all = routes();
    expect(all).toEqual(expect.arrayContaining(REPORTS.map((name) => `reports/${name}`)));
    expect(all).toEqual(expect.arrayContaining(["reports/searches/x", "sessions", "sessions/x", "live"]));
    const customer = await t.signIn();
    const key = await keyWith("analytics:write", "products:write", "inventory:read");
    expect(await statuses()).toEqual(all.map((path) => [path, 401]));
    expect(await statuses(customer.accessToken)).toEqual(all.map((path) => [path, 403]));
    expect(await statuses(key)).toEqual(all.map((path) => [path, 403]));
    // With it, each answers as it should: what does not exist is not there, and an id is checked.
    const reader = await statuses(await keyWith("analytics:read"));
    expect(reader.filter(([, status]) => ![200, 404, 422].includes(status))).toEqual([]);
    expect(reader.filter(([, status]) => status === 200).length).toBeGreaterThanOrEqual(REPORTS.length);
  }, 60_000);
});

describe("an empty store", () => {
  test("every report answers with nothing", async () => {
    for (const name of REPORTS) {
      const data = await report(name, { timezone: "Asia/Kathmandu" });
      expect(data).toMatchObject({
        complete: true,
        traffic: "people",
        period: { timezone: "Asia/Kathmandu" },
      });
    }
    expect(await report("overview")).toMatchObject({
      visitors: 0,
      sessions: 0,
      bounceRate: null,
      revenue: [],
    });
    expect((await report("products")).products).toEqual([]);
    expect((await report("timeseries")).points).toHaveLength(31);
    expect((await get("reports/searches/none", {}, manager.accessToken)).status).toBe(404);
  });
});

describe("input", () => {
  test("what is no period, zone or option is 422", async () => {
    const wrong: Record<string, string>[] = [
      { timezone: "Mars/Olympus" },
      { timezone: "../etc/passwd" },
      { timezone: "" },
      { timezone: "+05:33" },
      { from: "yesterday" },
      { from: "2026-02-30" },
      { from: "2026-11-02", to: "2026-11-01" },
      { from: "2026-11-02", to: "2026-11-02" },
      { from: "2020-01-01", to: "2026-01-01" },
      { from: "2020-01-01" },
      { interval: "hour", from: iso(t.clock.now().getTime() - 100 * DAY) },
      { from: "0001-01-01" },
      { from: "9999-12-31" },
      { traffic: "all" },
      { interval: "minute" },
      { interval: "hour", from: "2026-01-01", to: "2026-11-01" },
      { foo: "bar" },
      { "from[$gt]": "" },
    ];
    for (const query of wrong) {
      const answer = await get("reports/timeseries", query, manager.accessToken);
      expect([query, answer.status]).toEqual([query, 422]);
    }
    for (const limit of ["0", "101", "x", "1e3", "-1"]) {
      expect((await get("reports/products", { limit }, manager.accessToken)).status).toBe(422);
    }
  });
});

describe("time zones", () => {
  const starts = async (query: Record<string, string>) =>
    (await report<SeriesReport>("timeseries", query)).points.map(({ start }) => start);

  test("days of a change to summer and winter time have 23 and 25 hours, and no gap", async () => {
    const spring = { timezone: "Europe/Berlin", from: "2026-03-29", to: "2026-03-30", interval: "hour" };
    const autumn = { timezone: "Europe/Berlin", from: "2026-10-25", to: "2026-10-26", interval: "hour" };
    expect(await starts(spring)).toHaveLength(23);
    const hours = await starts(autumn);
    expect(hours).toHaveLength(25);
    expect(hours.slice(0, 4)).toEqual(
      [0, 1, 2, 3].map((hour) => iso(Date.parse("2026-10-24T22:00:00Z") + hour * HOUR)),
    );
    const days = { timezone: "Europe/Berlin", from: "2026-03-28", to: "2026-03-31", interval: "day" };
    expect(await starts(days)).toEqual([
      "2026-03-27T23:00:00.000Z",
      "2026-03-28T23:00:00.000Z",
      "2026-03-29T22:00:00.000Z",
    ]);
    const months = { timezone: "Europe/Berlin", from: "2026-03-01", to: "2026-05-01", interval: "month" };
    expect(await starts(months)).toEqual(["2026-02-28T23:00:00.000Z", "2026-03-31T22:00:00.000Z"]);
  });

  test("zones of 45 and 30 minutes, a half-hour change, a midnight that is left out, a skipped day", async () => {
    expect(await starts({ timezone: "Asia/Kathmandu", from: "2026-11-01", to: "2026-11-03" })).toEqual([
      "2026-10-31T18:15:00.000Z",
      "2026-11-01T18:15:00.000Z",
    ]);
    const howe = { timezone: "Australia/Lord_Howe", from: "2026-04-05", to: "2026-04-06", interval: "hour" };
    const hours = await starts(howe);
    expect(new Set(hours).size).toBe(hours.length);
    expect(hours[0]).toBe("2026-04-04T13:00:00.000Z");
    expect(await starts({ timezone: "America/Sao_Paulo", from: "2018-11-04", to: "2018-11-05" })).toEqual([
      "2018-11-04T03:00:00.000Z",
    ]);
    expect(await starts({ timezone: "Pacific/Apia", from: "2011-12-29", to: "2012-01-01" })).toHaveLength(2);
    expect(await starts({ timezone: "+05:45", from: "2026-11-01", to: "2026-11-02" })).toEqual([
      "2026-10-31T18:15:00.000Z",
    ]);
  });

  test("events land in their local day on both sides of a change", async () => {
    t.clock.set("2026-10-27T12:00:00Z");
    const times = [
      "2026-10-24T21:59:59Z",
      "2026-10-24T22:00:00Z",
      "2026-10-25T00:30:00Z",
      "2026-10-25T01:30:00Z",
      "2026-10-25T22:59:59Z",
      "2026-10-25T23:00:00Z",
    ];
    await sent(t, {
      batch: times.map((timestamp, index) => anEvent({ anonymousId: `v${index}`, timestamp })),
    });
    const query = { timezone: "Europe/Berlin", from: "2026-10-24", to: "2026-10-27" };
    const { points } = await report<SeriesReport>("timeseries", query);
    expect(points.map(({ visitors }) => visitors)).toEqual([1, 4, 1]);
    const hourly = await report<SeriesReport>("timeseries", {
      ...query,
      from: "2026-10-25",
      to: "2026-10-26",
      interval: "hour",
    });
    // Half past two happens twice, in two hours.
    expect(hourly.points.slice(0, 4).map(({ events }) => events)).toEqual([1, 0, 1, 1]);
    expect((await report<OverviewReport>("overview", query)).visitors).toBe(6);
    t.clock.set(new Date());
  });
});

/** Random days of a small shop: people and bots, sign-ins, searches with clicks, orders, late and repeated events. */
async function randomShop(seed: number, size: number): Promise<void> {
  const random = seeded(seed);
  const pick = <T>(items: T[]): T => items[Math.floor(random() ** 2 * items.length)] as T;
  const products = Array.from({ length: 12 }, (_, index) => `product-${index}`);
  const names = [
    "Product Viewed",
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Order Completed",
    "Order Refunded",
    "Order Updated",
    "Order Cancelled",
    "Products Searched",
    "Product Clicked",
    "Product List Viewed",
    "Checkout Started",
    "Wishlist Shared",
  ];
  const start = t.clock.now().getTime() - 9 * DAY;
  const searches: { id: string; visitor: string; time: number }[] = [];
  const events = Array.from({ length: size }, () => {
    const visitor = `v${Math.floor(random() * 25)}`;
    let time = start + Math.floor(random() * 9 * DAY);
    const event = pick(names);
    const product_id = pick(products);
    const properties: Record<string, unknown> = { product_id, category: `c${product_id.length}` };
    if (event === "Products Searched") {
      // Now and then a search is told again, by the page that is loaded anew.
      const again = random() < 0.2 ? pick(searches) : undefined;
      const id = again?.id ?? `search-${searches.length}`;
      if (again) time = again.time + Math.floor(random() * (random() < 0.2 ? 30 : 1) * HOUR);
      else searches.push({ id, visitor, time });
      Object.assign(properties, {
        search_id: id,
        query: pick(["Lamp", " lamp ", "chair", "sofa bed"]),
        results: pick([3, 0]),
      });
    }
    const search = pick(searches);
    if ((event === "Product Clicked" || event === "Product Added") && search) {
      properties.search_id = search.id;
      time = search.time + Math.floor((random() - 0.1) * (random() < 0.2 ? 40 : 2) * HOUR);
    }
    if (event.startsWith("Order")) {
      Object.assign(properties, {
        ...(random() < 0.8 ? { order_id: `o${Math.floor(random() * size * 0.05)}` } : {}),
        ...(random() < 0.2 ? { refund_id: "r1" } : {}),
        products: [
          { product_id, quantity: 1 + Math.floor(random() * 3), category: "c-order" },
          { product_id: pick(products), quantity: 2 },
        ],
        total: Math.floor(random() * 1e4) / 100,
        currency: pick(["USD", "EUR", "JPY"]),
      });
      // Refunds of everything, and of what is named.
      if (random() < 0.3) properties.total = undefined;
      if (random() < 0.3) properties.products = undefined;
      if (random() < 0.3) properties.currency = undefined;
    }
    const more = random() < 0.2 ? { userId: pick(["ann", "bob", "cem"]) } : {};
    const owner = search && properties.search_id === search.id ? search.visitor : visitor;
    const page = {
      url: "https://shop.example/x",
      referrer: pick(["", "https://www.google.com/", "https://news.example/a", "https://shop.example/"]),
    };
    const context = random() < 0.33 ? {} : { page };
    // Ties come often, also of events of one batch.
    if (random() < 0.3) time = Math.floor(time / (20 * MINUTE)) * 20 * MINUTE;
    const timestamp = iso(Math.min(time, t.clock.now().getTime()));
    if (random() < 0.05) {
      const userId = pick(["ann", "bob", "cem"]);
      return anEvent({ type: "identify", event: undefined, userId, anonymousId: owner, timestamp, context });
    }
    return random() < 0.3
      ? anEvent({
          ...more,
          anonymousId: owner,
          type: "page",
          event: undefined,
          name: "P",
          timestamp,
          context,
        })
      : anEvent({ ...more, anonymousId: owner, event, timestamp, properties, context });
  });
  for (let index = 0; index < events.length; index += 60) {
    // What a server reports has its own ids, and is mostly what browsers have reported already.
    const part = events.slice(index, index + 60);
    if (random() < 0.4) await sentByServer(t, { batch: part });
    if (random() < 0.8) await sent(t, { batch: part }, random() < 0.15 ? BOT : {});
    if (random() < 0.4) await settle(t.deps);
    if (random() < 0.3) await sent(t, { batch: events.slice(Math.max(0, index - 30), index + 1) });
  }
}

/** The rows of reports have no order that the oracle would not have; a report of 100 rows at most is compared whole. */
const MOST = 100;
const ONE_PAGE = { nextCursor: null, hasMore: false };

/** Asks every report about a period and holds it against the raw events. */
async function compare(oracle: Oracle, ask: Ask, interval: string, sort: string): Promise<void> {
  const { from, to, timezone, bot } = ask;
  const query = { from: iso(from), to: iso(to), timezone, traffic: bot ? "bots" : "people" };
  const limit = String(MOST);
  const head = {
    period: { from: iso(from), to: iso(to), timezone },
    traffic: query.traffic,
    complete: true,
  };
  const categorySort = sort in { views: 0, adds: 0, orders: 0 } ? sort : "views";
  const answers = {
    overview: await report("overview", query),
    timeseries: await report("timeseries", { ...query, interval }),
    products: await report("products", { ...query, limit, sort }),
    categories: await report("categories", { ...query, limit, sort: categorySort }),
    funnel: await report("funnel", query),
    searches: await report("searches", { ...query, limit }),
    retention: await report("retention", query),
    sources: await report("sources", { ...query, limit }),
    attributed: await report("sources", { ...query, limit, attribution: "last_non_direct" }),
  };
  expect(answers).toEqual({
    overview: { ...head, ...oracle.overview(ask) },
    timeseries: { ...head, interval, points: oracle.timeseries(ask, interval) },
    products: { ...head, page: ONE_PAGE, products: oracle.products(ask, sort).slice(0, MOST) },
    categories: { ...head, page: ONE_PAGE, categories: oracle.categories(ask, categorySort).slice(0, MOST) },
    funnel: { ...head, ...oracle.funnel(ask) },
    searches: { ...head, page: ONE_PAGE, ...oracle.searches(ask) },
    retention: { ...head, cohorts: oracle.retention(ask) },
    sources: { ...head, page: ONE_PAGE, ...oracle.sources(ask) },
    attributed: { ...head, page: ONE_PAGE, ...oracle.sources(ask, "last_non_direct") },
  });
}

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "Asia/Kathmandu",
  "America/St_Johns",
  "Australia/Lord_Howe",
  "Pacific/Chatham",
  "Asia/Kolkata",
  "America/New_York",
  "Pacific/Kiritimati",
  "Pacific/Pago_Pago",
];

describe("equal to a count over the raw events", () => {
  /** Random periods, zones and intervals over what is stored; the edges of days and of the data come often. */
  async function compareAll(seed: number, count: number): Promise<void> {
    // A report waits only so long for what came in.
    await settle(t.deps);
    const oracle = createOracle(await eventsOf(t).find({}).toArray());
    expect(await storedSessions()).toEqual(oracle.sessions());
    const random = seeded(seed);
    const pick = <T>(items: T[]): T => items[Math.floor(random() * items.length)] as T;
    const quarter = (time: number) => Math.floor(time / (15 * MINUTE)) * 15 * MINUTE;
    const now = t.clock.now().getTime();
    for (let index = 0; index < count; index++) {
      const length = pick([15 * MINUTE, HOUR, DAY, 3 * DAY, 11 * DAY, 40 * DAY]);
      const somewhere = now - 12 * DAY + random() * 13 * DAY;
      const to = quarter(pick([somewhere, Math.ceil(somewhere / DAY) * DAY, now + 15 * MINUTE]));
      const ask = { from: quarter(to - length), to, timezone: pick(ZONES), bot: random() < 0.3 };
      const interval = pick(["hour", "day", "week", "month"]);
      const sort = pick(["views", "clicks", "adds", "orders", "quantity"]);
      try {
        await compare(oracle, ask, interval, sort);
      } catch (error) {
        const asked = JSON.stringify({ ...ask, from: iso(ask.from), to: iso(ask.to), interval, sort });
        throw new Error(`shop ${seed}, ${asked}: ${(error as Error).message}`);
      }
    }
  }

  /** Each around a change of the clocks in one of the zones, so that buckets of both sides are asked for. */
  const TIMES = ["2026-11-18T10:07:00Z", "2026-04-08T03:50:00Z", "2026-10-30T23:59:00Z"];
  const rounds = process.env.AIZY_LONG ? 12 : 1;

  test("random shops, zones and periods; with late and repeated events; after an erasure; after a rebuild", async () => {
    for (let seed = 1; seed <= rounds; seed++) {
      await emptyAnalytics(t);
      t.clock.set(TIMES[seed % TIMES.length] ?? "");
      await randomShop(seed, process.env.AIZY_LONG ? 900 : 500);
      await compareAll(seed, process.env.AIZY_LONG ? 40 : 12);
      await erasePersonAnalytics(t.deps, "ann");
      await compareAll(seed + 100, 4);
      await rebuild(t.deps);
      await compareAll(seed + 200, 4);
    }
    t.clock.set(new Date());
  }, 900_000);

  test("zones and intervals: the buckets of a series are those of the zone's calendar", async () => {
    // Besides some of the others, those whose clocks are odd.
    const step = process.env.AIZY_LONG ? 4 : 20;
    const others = Intl.supportedValuesOf("timeZone").filter((_, index) => index % step === 0);
    for (const timezone of [...ZONES, "Africa/Casablanca", "Antarctica/Troll", "Asia/Beirut", ...others]) {
      for (const interval of ["hour", "day", "week", "month"] as const) {
        for (const [from, days] of [
          ["2026-03-20", interval === "hour" ? 20 : 60],
          ["2026-09-20", interval === "hour" ? 50 : 80],
        ] as const) {
          const begin = Date.parse(`${from}T11:45:00Z`);
          const range = { from: new Date(begin), to: new Date(begin + days * DAY) };
          const ranges = intervalsOf(range, timezone, interval);
          const edges = [...ranges.map((part) => part.from.getTime()), range.to.getTime()];
          expect([timezone, interval, edges]).toEqual([
            timezone,
            interval,
            cuts({ from: begin, to: begin + days * DAY, timezone }, interval),
          ]);
          expect(ranges.map((part) => part.to.getTime())).toEqual(edges.slice(1));
        }
      }
    }
  }, 600_000);
});

describe("top lists", () => {
  test("go on past what one page shows, each row once; a limit says what is allowed", async () => {
    const batch = Array.from({ length: 230 }, (_, index) =>
      anEvent({ properties: { product_id: `p${index}` } }),
    );
    await sent(t, { batch });
    const ids: string[] = [];
    let query: Record<string, string> = { limit: "100" };
    for (;;) {
      const { products, page } = await report("products", query);
      ids.push(...products.map(({ id }: { id: string }) => id));
      if (!page.hasMore) break;
      query = { limit: "100", cursor: page.nextCursor };
    }
    expect([ids.length, new Set(ids).size]).toEqual([230, 230]);
    const foreign = await get("reports/categories", query, manager.accessToken);
    expect(foreign.status).toBe(400);
    const tooMany = await get("reports/products", { limit: "1000" }, manager.accessToken);
    expect([tooMany.status, await tooMany.text()]).toEqual([
      422,
      expect.stringContaining("between 1 and 100"),
    ]);
  });

  test("a list, who somebody is, and what the sender calls non-interactive end no bounce", async () => {
    const page = anEvent({ type: "page", event: undefined, name: "Lamps" });
    const identify = anEvent({ type: "identify", event: undefined, userId: "ann" });
    const scroll = anEvent({ event: "Scrolled", properties: { nonInteraction: 1 } });
    await sent(t, { batch: [page, anEvent({ event: "Product List Viewed" }), identify, scroll] });
    expect(await report("overview")).toMatchObject({ sessions: 1, bounceRate: 1 });
    await sent(t, { batch: [anEvent({ event: "Scrolled", properties: {} })] });
    expect(await report("overview")).toMatchObject({ sessions: 1, bounceRate: 0 });
  });
});

describe("searches", () => {
  test("one is followed by its id to a click and to an order", async () => {
    const now = t.clock.now().getTime() - HOUR;
    const at = (seconds: number) => ({ timestamp: iso(now + seconds * 1000) });
    await sent(t, {
      batch: [
        anEvent({
          event: "Product Clicked",
          ...at(4.5),
          properties: { search_id: "s1", product_id: "p1", position: 2 },
        }),
        anEvent({
          event: "Products Searched",
          ...at(0),
          properties: { search_id: "s1", query: "  Red  LAMP ", results: 7 },
        }),
        anEvent({ type: "identify", event: undefined, userId: "ann", ...at(60) }),
        anEvent({
          event: "Order Completed",
          anonymousId: undefined,
          userId: "ann",
          ...at(300),
          properties: { order_id: "o", products: [{ product_id: "p1" }] },
        }),
      ],
    });
    const answer = await get("reports/searches/s1", {}, manager.accessToken);
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { data: unknown }).data).toMatchObject({
      query: "red lamp",
      results: 7,
      clicks: [{ productId: "p1", position: 2, secondsAfter: 4.5 }],
      ordered: true,
    });
    expect((await report("searches")).top).toEqual([
      expect.objectContaining({
        query: "red lamp",
        searches: 1,
        clicked: 1,
        clickThroughRate: 1,
        averageSecondsToClick: 4.5,
        ordered: 1,
      }),
    ]);
  });
});

describe("searches that were told again, and bots on their links", () => {
  test("a click counts once, for the last search with its id before it; a bot's counts for no person", async () => {
    const now = t.clock.now().getTime() - HOUR;
    const at = (seconds: number) => ({ timestamp: iso(now + seconds * 1000) });
    const search = (seconds: number) =>
      anEvent({ event: "Products Searched", ...at(seconds), properties: { search_id: "s3", query: "x" } });
    const click = (seconds: number) =>
      anEvent({ event: "Product Clicked", ...at(seconds), properties: { search_id: "s3", product_id: "p" } });
    await sent(t, { batch: [search(0), click(5)] });
    await sent(t, { batch: [click(2), click(65)] }, BOT);
    expect((await report("searches")).total).toMatchObject({
      searches: 1,
      clicks: 1,
      averageSecondsToClick: 5,
    });
    // The page is loaded again, and another thing clicked; the event of it comes late.
    await sent(t, { batch: [click(70)] });
    expect((await report("searches")).total).toMatchObject({ searches: 1, clicked: 1, clicks: 2 });
    await sent(t, { batch: [search(60)] });
    expect((await report("searches")).total).toMatchObject({
      searches: 2,
      clicked: 2,
      clicks: 2,
      averageSecondsToClick: 7.5,
    });
    const trail = await get("reports/searches/s3", {}, manager.accessToken);
    expect(((await trail.json()) as { data: unknown }).data).toMatchObject({
      bot: false,
      clicks: [{ secondsAfter: 5 }, { secondsAfter: 70 }],
    });
    expect((await report("searches", { traffic: "bots" })).total).toMatchObject({ searches: 0, clicks: 0 });
  });
});

describe("a search id that is used again and again", () => {
  test("is followed for a day, and a click marks the one search before it", async () => {
    const now = t.clock.now().getTime() - 4 * DAY;
    const at = (hours: number) => ({ timestamp: iso(now + hours * HOUR) });
    const search = (hours: number) =>
      anEvent({ event: "Products Searched", ...at(hours), properties: { search_id: "s5", query: "x" } });
    const click = (hours: number) =>
      anEvent({ event: "Product Clicked", ...at(hours), properties: { search_id: "s5", product_id: "p" } });
    const marked = () => t.deps.mongo.connection.collection("analyticsDirty").distinct("at");
    const quarter = (hours: number) =>
      new Date(Math.floor((now + hours * HOUR) / (15 * MINUTE)) * 15 * MINUTE);
    await sent(t, { batch: [search(0), search(24), search(48), click(1), click(72.1), click(48.5)] });
    expect((await report("searches")).total).toMatchObject({ searches: 3, clicked: 2, clicks: 2 });
    await sent(t, { batch: [click(49)] });
    await settle(t.deps, { stopped: () => true });
    // Its own, the visit's and search's begin, and the next visit's, which might have become the first.
    expect(await marked()).toEqual([quarter(48), quarter(49), quarter(72.1)]);
    // Told again, it takes over what follows it, and the last click is within a day now.
    await sent(t, { batch: [search(48.2)] });
    expect((await report("searches")).total).toMatchObject({ searches: 4, clicked: 2, clicks: 4 });
  });
});

describe("a later sign-in", () => {
  test("lets an order on another device count for the search on this one", async () => {
    const now = t.clock.now().getTime() - HOUR;
    const at = (seconds: number) => ({ timestamp: iso(now + seconds * 1000) });
    const ordered = async () => (await report("searches")).total.ordered;
    await sent(t, {
      batch: [
        anEvent({ event: "Products Searched", ...at(0), properties: { search_id: "s2", query: "x" } }),
        anEvent({ event: "Product Clicked", ...at(5), properties: { search_id: "s2", product_id: "p1" } }),
        anEvent({
          event: "Order Completed",
          anonymousId: undefined,
          userId: "ann",
          ...at(300),
          properties: { products: [{ product_id: "p1" }] },
        }),
      ],
    });
    expect(await ordered()).toBe(0);
    await sent(t, { batch: [anEvent({ type: "identify", event: undefined, userId: "ann", ...at(60) })] });
    expect(await ordered()).toBe(1);
  });

  test("takes an order away from the search of an earlier visit", async () => {
    const now = t.clock.now().getTime() - 6 * HOUR;
    const at = (minutes: number) => ({ timestamp: iso(now + minutes * MINUTE) });
    const ordered = async () => (await report("searches")).total.ordered;
    await sent(t, {
      batch: [
        anEvent({ event: "Products Searched", ...at(0), properties: { search_id: "s4", query: "x" } }),
        anEvent({ event: "Product Clicked", ...at(1), properties: { search_id: "s4", product_id: "p1" } }),
        anEvent({ event: "Order Completed", ...at(240), properties: { products: [{ product_id: "p1" }] } }),
      ],
    });
    expect(await ordered()).toBe(1);
    await sent(t, { batch: [anEvent({ type: "identify", event: undefined, userId: "ann", ...at(250) })] });
    expect(await ordered()).toBe(0);
  });
});

describe("products", () => {
  test("an order with two lines of one thing is one order of it; names come from the catalogue", async () => {
    const product_id = t.deps.random.id();
    const line = { product_id, quantity: 2 };
    const order = { total: 10, currency: "JPY", products: [line, { ...line, quantity: 3 }, "not a line"] };
    await sent(t, { batch: [anEvent({ event: "order completed ", properties: order })] });
    const { products } = await report("products", { sort: "orders" });
    expect(products).toEqual([
      expect.objectContaining({ id: product_id, name: null, orders: 1, quantity: 5, orderRate: null }),
    ]);
    expect((await report<OverviewReport>("overview")).unconfirmedRevenue).toEqual([
      expect.objectContaining({ amount: 10, currency: "JPY" }),
    ]);
  });

  test("an SKU joins the product it names; an unknown one stays itself", async () => {
    const _id = t.deps.random.id();
    const catalogue = t.deps.mongo.connection.collection<{ _id: string }>("products");
    await catalogue.insertOne({ _id, name: "Lamp", skuKeys: ["lamp-1"], deletedAt: null } as { _id: string });
    const lines = [{ sku: "LAMP-1 " }, { product_id: _id, quantity: 2 }, { sku: "other" }];
    const views = [{ sku: "Lamp-1" }, { sku: "other" }].map((properties) => anEvent({ properties }));
    await sent(t, {
      batch: [...views, anEvent({ event: "Order Completed", properties: { total: 1, products: lines } })],
    });
    const { products } = await report("products", { sort: "quantity" });
    expect(products).toMatchObject([
      { id: _id, name: "Lamp", views: 1, orders: 1, quantity: 3 },
      { id: "other", name: null, views: 1, orders: 1, quantity: 1 },
    ]);
    await catalogue.deleteOne({ _id });
  });
});

describe("rollups", () => {
  test("are recomputed when dirty, also when a mark comes again during it", async () => {
    await sent(t, { batch: [anEvent(), anEvent({ anonymousId: "b" })] });
    expect(await report("overview")).toMatchObject({ visitors: 2, events: 2 });
    expect(await t.deps.mongo.connection.collection("analyticsDirty").countDocuments()).toBe(0);
    await Promise.all(
      Array.from({ length: 6 }, async (_, caller) => {
        for (let step = 0; step < 4; step++) {
          await sent(t, { batch: [anEvent({ anonymousId: `c${caller}-${step}` })] });
          await settleElsewhere(t);
        }
      }),
    );
    expect(await report("overview")).toMatchObject({ visitors: 26, events: 26, sessions: 26 });
  }, 60_000);

  test("a job settles without anybody asking", async () => {
    await sent(t, { batch: [anEvent()] });
    t.clock.advance(6000);
    await t.runner.runDue();
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    expect(await sessionsOf(t).countDocuments()).toBe(1);
  });
});

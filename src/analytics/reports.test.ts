import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, eventsOf, seeded, sent, sessionsOf } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { DAY, HOUR, MINUTE } from "../clock";
import type { EventDocument, SessionDocument } from "./model";
import { erasePersonAnalytics } from "./person";
import type { OverviewReport, SeriesReport } from "./reports.schema";
import { rebuild, settle } from "./settle";

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
  let answer = await get(`reports/${name}`, query, manager.accessToken);
  if (answer.status === 401) {
    manager = await t.signIn({ roles: ["manager"] });
    answer = await get(`reports/${name}`, query, manager.accessToken);
  }
  const body = await answer.json();
  if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(body)}`);
  return (body as { data: Report }).data;
}

const iso = (time: number | Date) => new Date(time).toISOString();
const BOT = { headers: { "user-agent": "curl/8.5.0" } };

describe("who may read", () => {
  test("nobody without analytics:read", async () => {
    const customer = await t.signIn();
    for (const path of [...REPORTS.map((name) => `reports/${name}`), "reports/searches/x"]) {
      expect([path, (await get(path)).status]).toEqual([path, 401]);
      expect([path, (await get(path, {}, customer.accessToken)).status]).toEqual([path, 403]);
    }
  });
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
    "Products Searched",
    "Product Clicked",
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
      const id = `search-${searches.length}`;
      searches.push({ id, visitor, time });
      Object.assign(properties, {
        search_id: id,
        query: pick(["Lamp", " lamp ", "chair", "sofa bed"]),
        results: pick([3, 0]),
      });
    }
    const search = pick(searches);
    if ((event === "Product Clicked" || event === "Product Added") && search) {
      properties.search_id = search.id;
      time = search.time + Math.floor((random() - 0.1) * 2 * HOUR);
    }
    if (event === "Order Completed") {
      Object.assign(properties, {
        products: [{ product_id, quantity: 1 + Math.floor(random() * 3) }],
        total: Math.floor(random() * 1e4) / 100,
        currency: pick(["USD", "EUR"]),
      });
    }
    const more = random() < 0.2 ? { userId: pick(["ann", "bob", "cem"]) } : {};
    const owner = search && properties.search_id === search.id ? search.visitor : visitor;
    const context = {
      page: {
        url: "https://shop.example/x",
        referrer: pick(["", "https://www.google.com/", "https://news.example/a"]),
      },
    };
    const timestamp = iso(Math.min(time, t.clock.now().getTime()));
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
    await sent(t, { batch: events.slice(index, index + 60) }, random() < 0.15 ? BOT : {});
    if (random() < 0.4) await settle(t.deps);
    if (random() < 0.3) await sent(t, { batch: events.slice(Math.max(0, index - 30), index + 1) });
  }
}

/** What reports should say, counted over raw events and sessions in the plainest way. */
async function raw(from: number, to: number, bot = false) {
  const events = await eventsOf(t).find({}).toArray();
  const sessions = await sessionsOf(t).find({}).toArray();
  const within = (time: Date) => time.getTime() >= from && time.getTime() < to;
  return {
    everything: events,
    events: events.filter((event) => event.bot === bot && within(event.at)),
    sessions: sessions.filter((session) => session.bot === bot && within(session.start)),
    all: sessions.filter((session) => session.bot === bot),
  };
}

const distinct = (sessions: SessionDocument[]) => new Set(sessions.map(({ visitor }) => visitor)).size;
const firsts = (sessions: SessionDocument[], all: SessionDocument[]) =>
  sessions.filter(
    (session) => !all.some((other) => other.visitor === session.visitor && other.start < session.start),
  );
const ofKind = (events: EventDocument[], kind: string) => events.filter((event) => event.kind === kind);

describe("equal to a count over the raw events", () => {
  const ranges = (now: number): [number, number, string][] =>
    [
      [now - 10 * DAY, now + 15 * MINUTE, "UTC"],
      [now - 7 * DAY - 3 * HOUR, now - 2 * DAY + 45 * MINUTE, "Asia/Kathmandu"],
      [now - 5 * HOUR, now - HOUR, "America/New_York"],
      [now - 4 * DAY, now - 4 * DAY + 15 * MINUTE, "UTC"],
    ].map(([from, to, zone]) => [
      Math.floor(Number(from) / (15 * MINUTE)) * 15 * MINUTE,
      Math.floor(Number(to) / (15 * MINUTE)) * 15 * MINUTE,
      String(zone),
    ]);

  async function compare(): Promise<void> {
    // A report waits only so long for what came in.
    await settle(t.deps);
    for (const [from, to, timezone] of ranges(t.clock.now().getTime())) {
      for (const bot of [false, true]) {
        const query = { from: iso(from), to: iso(to), timezone, traffic: bot ? "bots" : "people" };
        const { events, sessions, all, everything } = await raw(from, to, bot);

        const overview = await report<OverviewReport>("overview", query);
        expect(overview.complete).toBe(true);
        expect(overview).toMatchObject({
          visitors: distinct(sessions),
          newVisitors: distinct(firsts(sessions, all)),
          sessions: sessions.length,
          conversions: sessions.filter(({ counts }) => counts.orders > 0).length,
          events: events.length,
          pageviews: ofKind(events, "page").length,
          productViews: ofKind(events, "view").length,
          productsAdded: ofKind(events, "add").length,
          searches: ofKind(events, "search").length,
          orders: ofKind(events, "order").length,
        });
        const bounces = sessions.filter(({ bounced }) => bounced).length;
        expect(overview.bounceRate).toBe(
          sessions.length ? Math.round((bounces / sessions.length) * 1e4) / 1e4 : null,
        );
        for (const currency of ["USD", "EUR"]) {
          const expected = ofKind(events, "order")
            .filter((event) => event.currency === currency)
            .reduce((sum, event) => sum + event.revenue, 0);
          expect(overview.revenue.find((money) => money.currency === currency)?.amount ?? 0).toBe(expected);
        }

        for (const interval of ["day", "hour", "week"]) {
          const series = await report<SeriesReport>("timeseries", { ...query, interval });
          expect(series.points[0]?.start).toBe(iso(from));
          expect(series.points.at(-1)?.end).toBe(iso(to));
          let last = iso(from);
          for (const point of series.points) {
            expect(point.start).toBe(last);
            last = point.end;
            const part = await inRange(sessions, events, point);
            expect([point.visitors, point.sessions, point.events]).toEqual(part);
          }
        }

        const { products } = await report("products", { ...query, limit: "100" });
        const count = (id: string, kind: string) =>
          ofKind(events, kind).filter((event) => event.products.some((product) => product.id === id)).length;
        const ids = new Set(
          events
            .filter(({ kind }) => ["view", "click", "add", "order"].includes(kind ?? ""))
            .flatMap((event) => event.products.map(({ id }) => id)),
        );
        expect(products).toHaveLength(ids.size);
        for (const { id, views, clicks, adds, orders, quantity } of products) {
          expect([id, views, clicks, adds, orders]).toEqual([
            id,
            ...["view", "click", "add", "order"].map((kind) => count(id, kind)),
          ]);
          const sold = ofKind(events, "order")
            .flatMap((event) => event.products)
            .filter((product) => product.id === id);
          expect(quantity).toBe(sold.reduce((sum, product) => sum + product.quantity, 0));
        }
        for (let index = 1; index < products.length; index++)
          expect(products[index - 1].views >= products[index].views).toBe(true);

        const { steps } = await report("funnel", query);
        expect(steps.map((step: { sessions: number }) => step.sessions)).toEqual(
          [1, 2, 3].map((least) => sessions.filter(({ funnel }) => funnel >= least).length),
        );

        const { sources } = await report("sources", query);
        for (const source of new Set(sessions.map((session) => session.source))) {
          const own = sessions.filter((session) => session.source === source);
          expect(sources).toContainEqual(
            expect.objectContaining({
              source,
              sessions: own.length,
              newVisitors: distinct(firsts(own, all)),
            }),
          );
        }

        const { top, total } = await report("searches", query);
        expect(total.searches).toBe(ofKind(events, "search").length);
        for (const row of top) {
          const searches = ofKind(events, "search").filter(({ query: text }) => text === row.query);
          const clicksOf = (search: EventDocument) =>
            everything.filter(
              ({ kind, searchId, at }) => kind === "click" && searchId === search.searchId && at >= search.at,
            );
          const followed = searches.map(clicksOf);
          expect(row.searches).toBe(searches.length);
          expect(row.withoutResult).toBe(searches.filter(({ results }) => results === 0).length);
          expect(row.clicked).toBe(followed.filter((clicks) => clicks.length > 0).length);
          expect(row.clicks).toBe(followed.flat().length);
          const waits = followed.flatMap((clicks, index) =>
            clicks.length === 0
              ? []
              : [Math.min(...clicks.map(({ at }) => at.getTime())) - (searches[index]?.at.getTime() ?? 0)],
          );
          const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
          expect(row.averageSecondsToClick).toBe(waits.length ? Math.round(mean) / 1000 : null);
          const ordered = searches.filter((search) =>
            everything.some(
              (hit) =>
                ["click", "view", "add"].includes(hit.kind ?? "") &&
                hit.searchId === search.searchId &&
                everything.some(
                  (order) =>
                    order.kind === "order" &&
                    order.visitor === hit.visitor &&
                    order.at >= hit.at &&
                    order.at.getTime() - hit.at.getTime() <= DAY &&
                    order.products.some(({ id }) => hit.products.some((product) => product.id === id)),
                ),
            ),
          );
          expect(row.ordered).toBe(ordered.length);
        }

        const { cohorts } = await report("retention", query);
        const weeks = (await report<SeriesReport>("timeseries", { ...query, interval: "week" })).points;
        expect(cohorts).toHaveLength(weeks.length);
        weeks.forEach((week, index) => {
          const inWeek = (point: { start: string; end: string }) =>
            sessions.filter(({ start }) => iso(start) >= point.start && iso(start) < point.end);
          const cohort = new Set(firsts(inWeek(week), all).map(({ visitor }) => visitor));
          expect(cohorts[index].visitors).toBe(cohort.size);
          expect(cohorts[index].returned).toEqual(
            weeks.slice(index).map((later, offset) =>
              offset === 0
                ? cohort.size
                : new Set(
                    inWeek(later)
                      .filter(({ visitor }) => cohort.has(visitor))
                      .map(({ visitor }) => visitor),
                  ).size,
            ),
          );
        });
      }
    }
  }

  const inRange = async (
    sessions: SessionDocument[],
    events: EventDocument[],
    { start, end }: { start: string; end: string },
  ) => {
    const own = sessions.filter((session) => iso(session.start) >= start && iso(session.start) < end);
    return [distinct(own), own.length, events.filter(({ at }) => iso(at) >= start && iso(at) < end).length];
  };

  test("random shops, with late and repeated events; after an erasure; after a rebuild", async () => {
    for (let seed = 1; seed <= (process.env.AIZY_LONG ? 12 : 1); seed++) {
      await emptyAnalytics(t);
      t.clock.set("2026-11-18T10:07:00Z");
      await randomShop(seed, process.env.AIZY_LONG ? 900 : 500);
      await compare();
      await erasePersonAnalytics(t.deps, "ann");
      await compare();
      await rebuild(t.deps);
      await compare();
    }
    t.clock.set(new Date());
  }, 900_000);
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
    expect((await report<OverviewReport>("overview")).revenue).toEqual([{ amount: 10, currency: "JPY" }]);
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
          // A settling of its own for each, as another process would.
          await settle({ ...t.deps });
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

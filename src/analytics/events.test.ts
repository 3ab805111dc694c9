import { describe, expect, test } from "bun:test";
import crawlers from "crawler-user-agents";
import { isbot } from "isbot";
import { anEvent, BROWSER, eventsOf, sendBatch, sent as sentBatch } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { startServer } from "../../test/processes";
import { DAY, HOUR, MINUTE, SECOND } from "../lib/clock";
import type { JsonValue } from "../lib/json";
import type { BatchResult } from "./intake/schema";
import { erasePersonAnalytics, personEvents } from "./person";
import type { EventResponse } from "./sessions/schema";
import { settle } from "./settle";

const t = useTestApp();

const event = anEvent;
const stored = (id: string) => eventsOf(t).findOne({ _id: id });
const send = (body: unknown, init?: Parameters<typeof sendBatch>[2]) => sendBatch(t, body, init);
const sent = (body: unknown, init?: Parameters<typeof sendBatch>[2]) => sentBatch(t, body, init);

const exported = async (userId: string): Promise<EventResponse[]> => {
  const events: EventResponse[] = [];
  const read = await personEvents(t.deps, userId);
  let cursor: JsonValue = null;
  do {
    const { items, next } = await read(cursor, 1000);
    events.push(...items);
    cursor = next;
  } while (cursor !== null);
  return events;
};

describe("batches", () => {
  test("10,000 events in 20 batches with 3 bad ones lose exactly 3", async () => {
    let accepted = 0;
    const rejected: unknown[] = [];
    for (let batch = 0; batch < 20; batch++) {
      const events: unknown[] = Array.from({ length: 500 }, () => event({ anonymousId: `load-${batch}` }));
      if (batch === 3) events[7] = event({ event: undefined });
      if (batch === 11) events[499] = { ...event(), messageId: 5 };
      if (batch === 19) events[0] = "not an event";
      const result = await sent({ batch: events });
      accepted += result.accepted;
      rejected.push(...result.rejected.map(({ index, reason }) => [batch, index, reason]));
    }
    expect(accepted).toBe(9997);
    expect(rejected).toEqual([
      [3, 7, "event: a track event needs the name of what happened"],
      [11, 499, "messageId: is required: an id of the client's making, such as a uuid"],
      [19, 0, expect.any(String)],
    ]);
  });

  test("an id is stored once: within a batch, across batches and 20 times at once", async () => {
    const first = event();
    const within = await sent({ batch: [first, first, event()] });
    expect(within).toMatchObject({ accepted: 2, duplicate: 1, rejected: [] });
    expect(await sent({ batch: [event(), first] })).toMatchObject({ accepted: 1, duplicate: 1 });

    const batch = Array.from({ length: 500 }, () => event());
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, caller) => sent({ batch: caller % 2 ? batch : batch.toReversed() })),
    );
    expect(results.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(500);
    expect(results.reduce((sum, { duplicate }) => sum + duplicate, 0)).toBe(19 * 500);
  }, 60_000);

  test("two processes, each sent the same batch ten times at once, and one killed: each event once", async () => {
    const servers = await Promise.all([startServer(), startServer()]);
    try {
      const batch = Array.from({ length: 300 }, () => event({ anonymousId: "two-processes" }));
      const sendTo = async (address = "", part: unknown[]) => {
        const answer = await fetch(`${address}/api/analytics/events`, {
          method: "POST",
          headers: { "content-type": "application/json", "user-agent": BROWSER },
          body: JSON.stringify({ batch: part }),
        });
        expect(answer.status).toBe(202);
        return ((await answer.json()) as { data: BatchResult }).data;
      };
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, caller) => sendTo(servers[caller % 2]?.address, batch)),
      );
      expect(results.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(300);
      expect(results.reduce((sum, { duplicate }) => sum + duplicate, 0)).toBe(19 * 300);
      const more = Array.from({ length: 500 }, () => event({ anonymousId: "two-processes" }));
      const cut = sendTo(servers[0]?.address, more).catch(() => undefined);
      await servers[0]?.kill();
      await cut;
      await sendTo(servers[1]?.address, more);
      expect(await eventsOf(t).countDocuments({ device: "two-processes" })).toBe(800);
    } finally {
      await Promise.all(servers.map((server) => server.kill()));
    }
  }, 120_000);

  test("batches that overlap in part, at once, store each event once", async () => {
    const all = Array.from({ length: 300 }, () => event());
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, caller) =>
        sent({ batch: all.filter((_, index) => (index * (caller + 3)) % 4 !== 0 || caller === 0) }),
      ),
    );
    expect(results.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(300);
  }, 60_000);

  test("limits: 500 events, 1 MB, 32 KB each", async () => {
    const tooMany = await send({ batch: Array.from({ length: 501 }, () => event()) });
    expect(tooMany.status).toBe(422);
    const large = (size: number) => event({ properties: { text: "x".repeat(size) } });
    expect(await sent({ batch: [large(31_000), large(33_000)] })).toMatchObject({
      accepted: 1,
      rejected: [{ index: 1, code: "too_large" }],
    });
    const huge = await send({ batch: Array.from({ length: 40 }, () => large(30_000)) });
    expect(huge.status).toBe(413);
    expect(await sent({ batch: [] })).toMatchObject({ accepted: 0, duplicate: 0, rejected: [] });
  });

  test("text/plain is JSON here, and nowhere else", async () => {
    const headers = { "content-type": "text/plain;charset=UTF-8" };
    const answer = await t.request("/api/analytics/events", {
      method: "POST",
      headers,
      body: JSON.stringify({ batch: [event()] }),
    });
    expect(answer.status).toBe(202);
    const broken = await t.request("/api/analytics/events", { method: "POST", headers, body: "{" });
    expect(broken.status).toBe(400);
    const form = await t.request("/api/analytics/events", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "batch=1",
    });
    expect(form.status).toBe(415);
    const login = await t.request("/auth/login", { method: "POST", headers, body: "{}" });
    expect(login.status).toBe(415);
  });

  test("a direct visit counts, and a context that is wrong in part costs nothing but that part", async () => {
    const direct = event({ context: { page: { url: "https://shop.example/", referrer: "", title: " " } } });
    const shared = { userAgent: "", ip: null, page: { url: 5, referrer: "" }, campaign: { source: "Mail" } };
    expect(await sent({ batch: [direct], context: { page: { referrer: "" } } })).toMatchObject({
      accepted: 1,
      rejected: [],
      ignored: [],
    });
    expect(await stored(direct.messageId)).toMatchObject({
      source: "direct",
      page: { url: "https://shop.example/", referrer: null, title: null },
    });
    const other = event({ context: { userAgent: null } });
    expect(await sent({ batch: [other], sentAt: "", context: shared })).toMatchObject({
      accepted: 1,
      rejected: [],
      ignored: [{ path: "context.page.url", reason: "must be a string" }],
    });
    expect(await stored(other.messageId)).toMatchObject({ source: "mail / campaign", userAgent: BROWSER });
  });

  test("bodies that are no batch are refused as a whole", async () => {
    for (const body of [
      null,
      [],
      5,
      "x",
      {},
      { batch: {} },
      { batch: null },
      { batch: [], sentAt: "now" },
      { batch: [], context: 5 },
    ]) {
      const answer = await send(body);
      expect([422, 400]).toContain(answer.status);
    }
    const nested = await t.request("/api/analytics/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "[".repeat(400_000),
    });
    expect(nested.status).toBe(400);
    const deep = await t.request("/api/analytics/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"batch":[{"messageId":"deep","type":"track","event":"x","anonymousId":"d","properties":{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}}]}`,
    });
    expect([202, 400]).toContain(deep.status);
    expect(await stored("deep")).toBeNull();
  });
});

describe("properties", () => {
  test("names with $ and dots and any other text come back as they were", async () => {
    const properties = JSON.parse(
      '{"$set":{"$gt":1},"a.b":{"c.d":[1,{"$in":2}]},"":"empty","ünï":"🙂","constructor":1,"toString":2,"$where":"x","nul":"a\\u0000b","n":1e300,"z":null}',
    );
    const sentEvent = event({ anonymousId: "dollar", userId: "dollar", properties });
    expect(await sent({ batch: [sentEvent] })).toMatchObject({ accepted: 1 });
    const [back] = await exported("dollar");
    expect(back?.properties).toEqual(properties);
  });

  test("deep and huge ones are refused one by one; the rest of the batch is stored", async () => {
    const nest = (levels: number): unknown => (levels === 0 ? 1 : { in: nest(levels - 1) });
    const many = Object.fromEntries(Array.from({ length: 2100 }, (_, index) => [`k${index}`, 1]));
    const result = await sent({
      batch: [
        event({ properties: nest(10) }),
        event({ properties: nest(11) }),
        event({ properties: many }),
        event({ properties: JSON.parse('{"__proto__":{"x":1}}') }),
        event({ properties: { _bsontype: "ObjectId", id: "x" } }),
        event({ properties: { "a\0b": 1 } }),
        event({ properties: [1, 2] }),
        event({ traits: "x" }),
        event(),
      ],
    });
    expect(result.accepted).toBe(2);
    expect(result.rejected.map(({ index, code }) => [index, code])).toEqual([
      [1, "too_deep"],
      [2, "too_many_keys"],
      [3, "invalid_key"],
      [4, "invalid_key"],
      [5, "invalid_key"],
      [6, "invalid"],
      [7, "invalid"],
    ]);
  });

  test("what is no event of the specification is rejected with its reason", async () => {
    const bad = [
      event({ type: "aliased" }),
      event({ messageId: "" }),
      event({ messageId: "a b" }),
      event({ messageId: "x".repeat(101) }),
      event({ type: "identify", anonymousId: null }),
      event({ anonymousId: { $gt: "" } }),
      event({ anonymousId: null }),
      event({ anonymousId: "a\u0000b" }),
      event({ timestamp: "yesterday" }),
      event({ timestamp: 5 }),
      event({ timestamp: "2026-02-30T10:00:00Z" }),
      event({ traits: 1 }),
      event({ event: "x", type: "track", name: 5 }),
      event({ context: { page: { url: 5 } } }),
      null,
      [],
    ];
    // Without any id a browser's event has a visitor for the day; only a server's has none.
    const { accepted, rejected } = await sent({ batch: bad });
    expect(accepted).toBe(1);
    expect(rejected.map(({ index }) => index)).toEqual(
      bad.map((_, index) => index).filter((index) => index !== 6),
    );
    for (const { reason, code } of rejected) expect([reason.length > 5, code]).toEqual([true, "invalid"]);
  });
});

describe("clocks", () => {
  test("the client's time is corrected by sentAt, and all times are kept", async () => {
    const now = t.clock.now();
    const wrong = 3 * HOUR;
    const at = (ago: number) => new Date(now.getTime() + wrong - ago).toISOString();
    const one = event({ timestamp: at(10 * MINUTE) });
    const result = await sent({ batch: [one], sentAt: at(0) });
    expect(result.flagged).toEqual([]);
    const row = await stored(one.messageId);
    expect(row?.at).toEqual(new Date(now.getTime() - 10 * MINUTE));
    expect(row?.clientAt?.toISOString()).toBe(at(10 * MINUTE));
    expect(row?.sentAt?.toISOString()).toBe(at(0));
    expect(row?.receivedAt).toEqual(now);
  });

  test("impossible times are flagged, said, and stay beside the one that is used", async () => {
    const now = t.clock.now();
    const iso = (offset: number) => new Date(now.getTime() + offset).toISOString();
    const events = [
      event({ timestamp: iso(DAY) }),
      event({ timestamp: "1970-01-01T00:00:00Z" }),
      event({ timestamp: iso(5 * MINUTE), sentAt: iso(0) }),
      event({ timestamp: "1970-01-01T00:00:00Z", sentAt: "1970-01-01T00:01:00Z" }),
      event({ timestamp: "9999-12-31T23:59:59Z" }),
      event({ timestamp: iso(-HOUR) }),
      event({ timestamp: "2026-01-01T12:00:00+05:45", sentAt: "2026-01-01T12:00:00+05:45" }),
    ];
    const { accepted, flagged } = await sent({ batch: events });
    expect(accepted).toBe(7);
    expect(flagged.map(({ index, flags }) => [index, ...flags])).toEqual([
      [0, "future"],
      [1, "too_old"],
      [2, "future"],
      [3, "clock_skew"],
      [4, "future"],
      [6, "clock_skew"],
    ]);
    const rows = await Promise.all(events.map(({ messageId }) => stored(messageId)));
    expect(rows[0]?.at).toEqual(now);
    expect(rows[0]?.clientAt?.toISOString()).toBe(iso(DAY));
    expect(rows[3]?.at).toEqual(new Date(now.getTime() - MINUTE));
    expect(rows[5]?.at.toISOString()).toBe(iso(-HOUR));
  });
});

describe("privacy", () => {
  test("addresses are shortened, URLs lose what is not the campaign", async () => {
    const one = event({
      type: "page",
      event: undefined,
      name: "Home",
      context: {
        page: {
          url: "https://ann:secret@shop.example/p?token=abc&utm_source=News&utm_medium=email#x",
          referrer: "https://www.google.com/search?q=my+illness",
        },
      },
      properties: {
        url: "https://shop.example/p?email=ann@example.com",
        search: "?email=ann@example.com",
        next: "/reset?token=abc",
        text: "see https://shop.example/r?token=abc#secret, or ask",
        list: [{ href: "https://ann:secret@shop.example/x?utm_source=a&token=abc" }],
        image: "https://cdn.example/a.png",
      },
    });
    await sent({ batch: [one] });
    const row = await stored(one.messageId);
    expect(row?.address).toBe("127.0.0.0");
    expect(row?.page?.url).toBe("https://shop.example/p?utm_source=News&utm_medium=email");
    expect(row?.page?.referrer).toBe("https://www.google.com/search");
    expect(row?.source).toBe("news / email");
    expect(row?.properties).toMatchObject({
      next: "/reset",
      list: [{ href: "https://shop.example/x?utm_source=a" }],
      image: "https://cdn.example/a.png",
    });
    expect(JSON.stringify(row)).not.toMatch(/secret|token|illness|ann@/);
  });

  test("Do-Not-Track, Global Privacy Control and refused consent store nothing", async () => {
    for (const headers of [{ dnt: "1" }, { "sec-gpc": "1" }] as Record<string, string>[]) {
      const one = event();
      const result = await sent({ batch: [one] }, { headers });
      expect(result).toMatchObject({ accepted: 0, rejected: [{ index: 0, code: "do_not_track" }] });
      expect(await stored(one.messageId)).toBeNull();
    }
    const refused = { consent: { categoryPreferences: { Advertising: true, Analytics: false } } };
    const given = { consent: { categoryPreferences: { Advertising: false, analytics: true } } };
    const result = await sent({ batch: [event({ context: refused }), event({ context: given })] });
    expect(result).toMatchObject({ accepted: 1, rejected: [{ index: 0, code: "no_consent" }] });
    expect(await sent({ batch: [event()], context: refused })).toMatchObject({ accepted: 0 });
    expect(await sent({ batch: [event()] }, { headers: { dnt: "0" } })).toMatchObject({ accepted: 1 });
  });

  test("no id is needed; a nameless visitor is one for a day, and over midnight while active", async () => {
    const before = t.clock.now();
    const nameless = async (agent = BROWSER) => {
      const one = event({ anonymousId: undefined });
      await sent({ batch: [one] }, { headers: { "user-agent": agent } });
      return (await stored(one.messageId))?.device;
    };
    t.clock.set("2026-12-01T23:40:00Z");
    const evening = await nameless();
    expect(evening).toStartWith("~");
    expect(await nameless(`${BROWSER} other`)).not.toBe(evening);
    t.clock.set("2026-12-01T23:59:00Z");
    expect(await nameless()).toBe(evening);
    t.clock.set("2026-12-02T00:20:00Z");
    expect(await nameless()).toBe(evening);
    t.clock.set("2026-12-02T10:00:00Z");
    expect(await nameless()).not.toBe(evening);
    t.clock.set(before);
  });

  test("a token says who it is; nobody else can be named with it", async () => {
    const ann = await t.signIn();
    const own = event({ anonymousId: "ann-phone" });
    const result = await sent(
      { batch: [own, event({ userId: "someone-else" })] },
      { token: ann.accessToken },
    );
    expect(result).toMatchObject({ accepted: 1, rejected: [{ index: 1, code: "other_person" }] });
    expect((await stored(own.messageId))?.userId).toBe(ann.id);
    const wrong = await send({ batch: [event()] }, { token: "nonsense" });
    expect(wrong.status).toBe(401);
  });

  test("a person's events are exported and erased, and nobody else's", async () => {
    const before = event({ anonymousId: "bea-phone" });
    const signIn = event({ type: "identify", event: undefined, anonymousId: "bea-phone", userId: "bea" });
    const later = event({ anonymousId: undefined, userId: "bea" });
    const shared = event({ anonymousId: "kiosk" });
    const atKiosk = event({ anonymousId: "kiosk", userId: "bea" });
    const other = event({ anonymousId: "kiosk", userId: "carl" });
    await sent({ batch: [before, signIn, later, shared, atKiosk, other] });
    await settle(t.deps);
    const ids = (await exported("bea")).map(({ id }) => id);
    expect(ids).toEqual(
      expect.arrayContaining([before, signIn, later, atKiosk].map(({ messageId }) => messageId)),
    );
    expect(ids).not.toContain(other.messageId);
    await erasePersonAnalytics(t.deps, "bea");
    await settle(t.deps);
    expect(await exported("bea")).toEqual([]);
    for (const { messageId } of [before, signIn, later, atKiosk]) expect(await stored(messageId)).toBeNull();
    expect(await stored(other.messageId)).not.toBeNull();
    expect(await t.deps.analytics.sessions.of(["u:bea", "d:bea-phone"])).toEqual([]);
    expect(await erasePersonAnalytics(t.deps, "bea")).toBe(0);
  }, 30_000);

  test("an erasure reads what a person did twice, however much it is", async () => {
    const first = event({ anonymousId: "zoe-phone", userId: "zoe" });
    await sent({ batch: [first] });
    const model = await stored(first.messageId);
    if (!model) throw new Error("the event was not stored");
    const now = t.clock.now().getTime();
    // Ids of chance, so that their order says nothing of when it was.
    const events = Array.from({ length: 4500 }, (_, index) => ({
      ...model,
      _id: crypto.randomUUID(),
      at: new Date(now - index * SECOND),
      ...(index % 3 === 0 ? {} : { userId: null, visitor: "d:zoe-phone" }),
    }));
    await eventsOf(t).insertMany(events);
    await settle(t.deps);
    let read = 0;
    const counted =
      (call: (...words: never[]) => unknown) =>
      async (...words: never[]) => {
        const result = await call(...words);
        if (Array.isArray(result)) read += result.length;
        return result;
      };
    const analytics = Object.fromEntries(
      Object.entries<object>(t.deps.analytics).map(([name, store]) => [
        name,
        Object.fromEntries(Object.entries(store).map(([verb, call]) => [verb, counted(call)])),
      ]),
    ) as unknown as typeof t.deps.analytics;
    expect(await erasePersonAnalytics({ ...t.deps, analytics }, "zoe")).toBe(4501);
    // To find it, and again in the transaction that removes it.
    expect(read / 4501).toBeLessThan(2.2);
    expect(await t.deps.analytics.sessions.of(["u:zoe", "d:zoe-phone"])).toEqual([]);
  }, 120_000);

  test("an erasure leaves what others did by the same program, with sessions of that alone", async () => {
    const program = { headers: { "user-agent": "curl/8.5.0" } };
    const at = (hours: number) => new Date(t.clock.now().getTime() - hours * HOUR).toISOString();
    const by = (userId: string | undefined, hours: number) =>
      event({ anonymousId: "script", userId, timestamp: at(hours) });
    const others = [by("emil", 1), by("emil", 9)];
    const batch = [by("dora", 1), by("dora", 5), by(undefined, 9), by(undefined, 7), ...others];
    await sent({ batch: [...batch, event({ anonymousId: undefined, userId: "dora" })] }, program);
    await settle(t.deps);
    expect(await erasePersonAnalytics(t.deps, "dora")).toBe(5);
    const left = await eventsOf(t).find({ visitor: "b:script" }).toArray();
    expect(left.map(({ _id }) => _id).sort()).toEqual(others.map(({ messageId }) => messageId).sort());
    const sessions = await t.deps.analytics.sessions.of(["b:script", "b:dora"]);
    expect(sessions.map(({ start }) => start.toISOString()).sort()).toEqual([at(9), at(1)]);
  }, 30_000);

  test("an erasure that died in the midst is finished by the next one", async () => {
    const program = { headers: { "user-agent": "curl/8.5.0" } };
    await sent({
      batch: [event({ anonymousId: "gus-phone" }), event({ userId: "gus", anonymousId: "gus-phone" })],
    });
    await sent(
      { batch: [event({ anonymousId: "gus-script", userId: "gus" }), event({ anonymousId: "gus-script" })] },
      program,
    );
    await settle(t.deps);
    const all = () =>
      eventsOf(t).countDocuments({
        $or: [{ userId: "gus" }, { device: { $in: ["gus-phone", "gus-script"] } }],
      });
    for (let died = 0; (await all()) > 0; died++) {
      expect(died).toBeLessThan(20);
      let removals = 0;
      // It dies when it is about to remove events for the second time.
      const { events } = t.deps.analytics;
      const remove: typeof events.remove = async (ids, tx) => {
        if (ids.length > 0 && ++removals > 1) throw new Error("died");
        return events.remove(ids, tx);
      };
      const analytics = { ...t.deps.analytics, events: { ...events, remove } };
      await erasePersonAnalytics({ ...t.deps, analytics }, "gus").catch((error: Error) => {
        if (error.message !== "died") throw error;
      });
    }
    expect(await erasePersonAnalytics(t.deps, "gus")).toBe(0);
    const visitors = ["u:gus", "d:gus-phone", "b:gus-script"];
    expect(await t.deps.analytics.sessions.of(visitors)).toEqual([]);
  }, 30_000);
});

describe("bots", () => {
  test("are stored and flagged", async () => {
    const one = event();
    const agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    expect(await sent({ batch: [one] }, { headers: { "user-agent": agent } })).toMatchObject({ accepted: 1 });
    expect(await stored(one.messageId)).toMatchObject({ bot: true, visitor: "b:device-1" });
  });

  test("isbot knows the instances of crawler-user-agents, and people's browsers", () => {
    const instances = crawlers.flatMap(({ instances }) => instances);
    const missed = instances.filter((agent) => !isbot(agent));
    // The rest are editors and apps with a browser inside, in the hands of people.
    expect(instances.length).toBeGreaterThan(2000);
    expect(missed.length / instances.length).toBeLessThan(0.005);
    for (const agent of [
      BROWSER,
      "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
      "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
      "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    ]) {
      expect(isbot(agent)).toBe(false);
    }
  });
});

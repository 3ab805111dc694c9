import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  anEvent,
  BROWSER,
  emptyAnalytics,
  eventsOf,
  STORED_EVENT,
  seeded,
  sent,
  storedSessions as sessionsAsText,
  sessionsOf,
  settleElsewhere,
} from "../../test/analytics";
import { createOracle } from "../../test/analytics-oracle";
import { useTestApp } from "../../test/app";
import { eventually, startProgram } from "../../test/processes";
import { DAY, MINUTE, SECOND } from "../lib/clock";
import type { EventDocument } from "./model";
import { rebuild } from "./rebuild";
import type { Totals } from "./rollups/buckets";
import { attribute, byTime, sessionise } from "./sessions/sessionise";
import { settleRemoved, settleStep } from "./sessions/step";
import { STEP, settle, settleForReader } from "./settle";
import { visitorOf } from "./visitor";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const NOON = Date.parse("2026-11-20T12:00:00Z");
const NOWHERE = new Date("2026-11-01T00:00:00Z");
const at = (offset: number) => ({ timestamp: new Date(NOON + offset).toISOString() });

/** The sessions as [visitor, first, last, events], times in seconds from noon. */
async function sessions(): Promise<[string, number, number, number][]> {
  await settle(t.deps);
  const rows = await sessionsOf(t).find({}).sort({ start: 1, visitor: 1 }).toArray();
  const seconds = (time: Date) => (time.getTime() - NOON) / 1000;
  return rows.map(({ visitor, start, end, counts }) => [
    visitor,
    seconds(start),
    seconds(end),
    counts.events,
  ]);
}

/**
 * The definition again, as slowly and plainly as it can be said: two events of one line of events belong
 * together when a chain of others with pauses of at most 30 minutes joins them, and no midnight lies between
 * that comes a day or more after the chain began.
 */
function bruteForce(events: EventDocument[]): string[] {
  const sorted = events.toSorted((a, b) => a.at.getTime() - b.at.getTime() || (a._id < b._id ? -1 : 1));
  const chain = (line: EventDocument[]): EventDocument[][] => {
    const groups: EventDocument[][] = line.map((event) => [event]);
    for (let merged = true; merged; ) {
      merged = false;
      search: for (const a of groups) {
        for (const b of groups) {
          const near = a.some((x) => b.some((y) => Math.abs(x.at.getTime() - y.at.getTime()) <= 30 * MINUTE));
          if (a === b || !near) continue;
          a.push(...b);
          groups.splice(groups.indexOf(b), 1);
          merged = true;
          break search;
        }
      }
    }
    return groups.flatMap((group) => {
      const first = Math.min(...group.map(({ at }) => at.getTime()));
      const midnights = (event: EventDocument): number => {
        let count = 0;
        for (let time = 0; time <= event.at.getTime(); time += DAY) if (time >= first + DAY) count++;
        return count;
      };
      return [...Map.groupBy(group, midnights).values()];
    });
  };
  const visitor = (event: EventDocument): string => {
    if (event.bot) return `b:${event.device ?? event.userId}`;
    if (event.userId !== null) return `u:${event.userId}`;
    const visit = chain(sorted.filter((other) => other.device === event.device && !other.bot)).find((group) =>
      group.includes(event),
    );
    const named = sorted.filter((other) => visit?.includes(other) && other.userId !== null);
    const before = named.filter((other) => sorted.indexOf(other) < sorted.indexOf(event)).at(-1);
    const person = (before ?? named[0])?.userId;
    return person ? `u:${person}` : `d:${event.device}`;
  };
  return [...Map.groupBy(sorted, visitor)]
    .flatMap(([name, line]) =>
      chain(line).map((group) => {
        const times = group.map((event) => event.at.getTime());
        return `${name} ${Math.min(...times)} ${Math.max(...times)} ${group.length}`;
      }),
    )
    .sort();
}

const storedSessions = () => sessionsAsText(t);

describe("sessions", () => {
  beforeEach(() => t.clock.set("2026-11-23T12:00:00Z"));

  test("a pause of 29:59 goes on, one of 30:01 begins anew", async () => {
    await sent(t, {
      batch: [
        anEvent({ anonymousId: "short", ...at(0) }),
        anEvent({ anonymousId: "short", ...at(29 * MINUTE + 59 * SECOND) }),
        anEvent({ anonymousId: "long", ...at(0) }),
        anEvent({ anonymousId: "long", ...at(30 * MINUTE + SECOND) }),
      ],
    });
    expect(await sessions()).toEqual([
      ["d:long", 0, 0, 1],
      ["d:short", 0, 1799, 2],
      ["d:long", 1801, 1801, 1],
    ]);
  });

  test("slides for as long as something happens, also over midnight", async () => {
    const minutes = Array.from({ length: 50 }, (_, index) => index * 29);
    await sent(t, { batch: minutes.map((minute) => anEvent(at(minute * MINUTE))) });
    expect(await sessions()).toEqual([["d:device-1", 0, 49 * 29 * 60, 50]]);
  });

  test("one that never pauses ends at the midnight that comes a day or more after its begin", async () => {
    t.clock.set("2026-11-25T12:00:00Z");
    const ticks = Array.from({ length: 4 * 72 }, (_, index) =>
      anEvent({ ...at((index - 144) * 20 * MINUTE) }),
    );
    await sent(t, { batch: ticks });
    const day = 24 * 3600;
    // From noon of the 18th: the midnight after it is too near.
    expect(await sessions()).toEqual([
      ["d:device-1", -2 * day, -day / 2 - 1200, 108],
      ["d:device-1", -day / 2, day / 2 - 1200, 72],
      ["d:device-1", day / 2, 1.5 * day - 1200, 72],
      ["d:device-1", 1.5 * day, 2 * day - 1200, 36],
    ]);
    t.clock.set("2026-11-23T12:00:00Z");
  });

  test("equal to the oracle when visits go on for days, events come in any order and are removed", async () => {
    t.clock.set("2026-11-28T12:00:00Z");
    for (let seed = 1; seed <= (process.env.AIZY_LONG ? 30 : 2); seed++) {
      await emptyAnalytics(t);
      const random = seeded(seed);
      const names = seed % 2 === 0 ? 0 : 0.01;
      // Not the reports as well, which the other tests settle.
      const stopped = () => true;
      const isRight = async () =>
        expect([seed, await storedSessions()]).toEqual([
          seed,
          createOracle(await eventsOf(t).find({}).toArray()).sessions(),
        ]);
      const events = ["a", "b"].flatMap((anonymousId) =>
        Array.from({ length: 4 * 58 }, (_, index) => {
          const userId = random() < names ? "ann" : undefined;
          const time = index * 25 * MINUTE + Math.floor(random() * 2) * 5 * MINUTE;
          return { order: random(), event: anEvent({ anonymousId, userId, ...at(time) }) };
        }).filter(() => random() < 0.985),
      );
      const shuffled = events.sort((x, y) => x.order - y.order).map(({ event }) => event);
      for (let index = 0; index < shuffled.length; ) {
        const size = index < 400 ? 200 : 1 + Math.floor(random() * 4);
        await sent(t, { batch: shuffled.slice(index, index + size) });
        index += size;
        await settle(t.deps, { stopped });
        await isRight();
      }
      for (let step = 0; names === 0 && step < 10; step++) {
        const stored = await eventsOf(t).find({}).toArray();
        await settleRemoved(
          t.deps,
          stored.filter(() => random() < 0.01),
        );
        await isRight();
      }
      if (seed <= 2) await rebuild(t.deps);
      await isRight();
    }
    t.clock.set("2026-11-23T12:00:00Z");
  }, 300_000);

  test("an event that cannot be settled keeps no other from its session", async () => {
    await sent(t, { batch: [anEvent({ anonymousId: "broken" })] });
    await eventsOf(t).updateOne({}, { $set: { at: "no time" as never } });
    t.clock.advance(SECOND);
    await sent(t, { batch: [anEvent(at(0)), anEvent(at(MINUTE)), anEvent({ ...at(0), anonymousId: "b" })] });
    expect(await sessions()).toEqual([
      ["d:b", 0, 0, 1],
      ["d:device-1", 0, 60, 2],
    ]);
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
  });

  test("a late event bridges two sessions; an early one moves the begin", async () => {
    await sent(t, { batch: [anEvent(at(0)), anEvent(at(50 * MINUTE))] });
    expect(await sessions()).toHaveLength(2);
    await sent(t, { batch: [anEvent(at(25 * MINUTE))] });
    expect(await sessions()).toEqual([["d:device-1", 0, 3000, 3]]);
    await sent(t, { batch: [anEvent(at(-20 * MINUTE))] });
    expect(await sessions()).toEqual([["d:device-1", -1200, 3000, 4]]);
  });

  test("identify in mid-session joins what came before and what comes after by id alone", async () => {
    await sent(t, { batch: [anEvent(at(0)), anEvent(at(5 * MINUTE))] });
    expect(await sessions()).toEqual([["d:device-1", 0, 300, 2]]);
    await sent(t, {
      batch: [
        anEvent({ type: "identify", event: undefined, userId: "ann", ...at(10 * MINUTE) }),
        anEvent({ anonymousId: undefined, userId: "ann", ...at(15 * MINUTE) }),
        anEvent(at(20 * MINUTE)),
      ],
    });
    expect(await sessions()).toEqual([["u:ann", 0, 1200, 5]]);
    const [session] = await sessionsOf(t).find({}).toArray();
    expect(session).toMatchObject({ userId: "ann", devices: ["device-1"] });
  });

  test("two people on one device keep their own; a later visit without a name is the device's", async () => {
    await sent(t, {
      batch: [
        anEvent({ userId: "ann", ...at(0) }),
        anEvent(at(MINUTE)),
        anEvent({ userId: "bob", ...at(2 * MINUTE) }),
        anEvent(at(3 * MINUTE)),
        anEvent(at(60 * MINUTE)),
      ],
    });
    expect(await sessions()).toEqual([
      ["u:ann", 0, 60, 2],
      ["u:bob", 120, 180, 2],
      ["d:device-1", 3600, 3600, 1],
    ]);
  });

  test("a late sign-in takes events out of another person's session, which falls apart", async () => {
    await sent(t, {
      batch: [
        anEvent({ userId: "ann", ...at(0) }),
        anEvent(at(25 * MINUTE)),
        anEvent({ userId: "ann", ...at(50 * MINUTE) }),
      ],
    });
    expect(await sessions()).toEqual([["u:ann", 0, 3000, 3]]);
    await sent(t, { batch: [anEvent({ userId: "bob", ...at(20 * MINUTE) })] });
    expect(await sessions()).toEqual([
      ["u:ann", 0, 0, 1],
      ["u:bob", 1200, 1500, 2],
      ["u:ann", 3000, 3000, 1],
    ]);
  });

  test.each([true, false])(
    "removed events leave nothing with whom a sign-in gave them meanwhile",
    async (whole) => {
      await sent(t, { batch: [anEvent({ anonymousId: "kiosk", ...at(0) })] });
      await settle(t.deps);
      const read = await eventsOf(t).find({}).toArray();
      await sent(t, { batch: [anEvent({ anonymousId: "kiosk", userId: "bob", ...at(MINUTE) })] });
      expect(await sessions()).toEqual([["u:bob", 0, 60, 2]]);
      await settleRemoved(t.deps, read, whole ? { visitor: "d:kiosk", until: t.clock.now() } : null);
      expect(await sessions()).toEqual([["u:bob", 60, 60, 1]]);
    },
  );

  test("a person on two devices at once is in one session", async () => {
    await sent(t, {
      batch: [
        anEvent({ anonymousId: "phone", userId: "ann", ...at(0) }),
        anEvent({ anonymousId: "laptop", userId: "ann", ...at(20 * MINUTE) }),
        anEvent({ anonymousId: "phone", ...at(15 * MINUTE) }),
      ],
    });
    expect(await sessions()).toEqual([["u:ann", 0, 1200, 3]]);
  });

  test("a bot's events never join a person's", async () => {
    const agent = { headers: { "user-agent": "curl/8.5.0" } };
    await sent(t, { batch: [anEvent({ userId: "ann", ...at(0) })] });
    await sent(t, { batch: [anEvent({ ...at(MINUTE) })] }, agent);
    expect(await sessions()).toEqual([
      ["u:ann", 0, 0, 1],
      ["b:device-1", 60, 60, 1],
    ]);
  });

  test("comes from where its first page came from, also when something else happened before it", async () => {
    const page = { url: "https://shop.example/lamps", referrer: "https://www.google.com/" };
    await sent(t, {
      batch: [
        anEvent({ type: "identify", event: undefined, userId: "ann", ...at(0) }),
        anEvent({ type: "page", event: undefined, name: "Lamps", ...at(MINUTE), context: { page } }),
      ],
    });
    await settle(t.deps);
    expect(await sessionsOf(t).find({}).toArray()).toEqual([
      expect.objectContaining({ visitor: "u:ann", source: "google / organic", landing: "/lamps" }),
    ]);
  });

  test("funnel steps count in their order, orders need no device", async () => {
    const step = (event: string, minute: number, more = {}) =>
      anEvent({ event, ...at(minute * MINUTE), ...more });
    await sent(t, {
      batch: [
        step("Product Added", 0, { userId: "ann" }),
        step("Product Viewed", 1),
        step("Product Added", 2),
        step("Order Completed", 3, {
          anonymousId: undefined,
          userId: "ann",
          properties: {
            order_id: "o1",
            total: 19.99,
            currency: "USD",
            products: [{ product_id: "p", quantity: 2 }],
          },
        }),
        step("Order Completed", 0, { anonymousId: "other" }),
        step("Product Viewed", 1, { anonymousId: "other" }),
      ],
    });
    await settle(t.deps);
    const rows = await sessionsOf(t).find({}).sort({ visitor: 1 }).toArray();
    expect(rows.map(({ visitor, funnel, revenue }) => [visitor, funnel, revenue])).toEqual([
      ["d:other", 1, {}],
      ["u:ann", 3, { USD: 1999 }],
    ]);
  });

  test("equal to a brute-force sessioniser on random events in random order, and after a rebuild", async () => {
    for (let seed = 1; seed <= (process.env.AIZY_LONG ? 30 : 3); seed++) {
      await emptyAnalytics(t);
      const random = seeded(seed);
      const pick = <T>(items: T[]): T => items[Math.floor(random() * items.length)] as T;
      const events = Array.from({ length: 120 }, () => {
        const userId = random() < 0.25 ? pick(["ann", "bob"]) : undefined;
        const anonymousId = userId !== undefined && random() < 0.4 ? undefined : pick(["a", "b", "c"]);
        // Whole multiples of five minutes, so that pauses of exactly 30 minutes and equal times are frequent.
        const minute = Math.floor(random() * 300) * 5 + (random() < 0.1 ? random() : 0);
        return anEvent({ userId, anonymousId, ...at(minute * MINUTE) });
      });
      for (let index = 0; index < events.length; ) {
        const size = 1 + Math.floor(random() * 20);
        const agent = random() < 0.15 ? { headers: { "user-agent": "curl/8.5.0" } } : {};
        await sent(t, { batch: events.slice(index, index + size) }, agent);
        index += size;
        if (random() < 0.7) await settle(t.deps);
      }
      await settle(t.deps);
      const raw = await eventsOf(t).find({}).toArray();
      expect(raw).toHaveLength(120);
      const incremental = await storedSessions();
      expect(incremental).toEqual(bruteForce(raw));
      const ids = (await sessionsOf(t).find({}).toArray()).map(({ _id }) => _id).sort();
      await rebuild(t.deps);
      expect(await storedSessions()).toEqual(incremental);
      expect((await sessionsOf(t).find({}).toArray()).map(({ _id }) => _id).sort()).toEqual(ids);
    }
  }, 600_000);

  test("many who settle at once leave what one would", async () => {
    const random = seeded(99);
    const events = Array.from({ length: 160 }, (_, index) =>
      anEvent({ anonymousId: `d${index % 7}`, ...at(Math.floor(random() * 600) * MINUTE) }),
    );
    await Promise.all(
      Array.from({ length: 4 }, async (_, caller) => {
        for (let step = 0; step < 4; step++) {
          const from = caller * 40 + step * 10;
          await sent(t, { batch: events.slice(from, from + 10) });
          await settleElsewhere(t);
        }
      }),
    );
    await settle(t.deps);
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    expect(await storedSessions()).toEqual(bruteForce(await eventsOf(t).find({}).toArray()));
  }, 120_000);

  test("equal to the brute force on any events in any order (pure)", () => {
    const id = fc.constantFrom(null, "ann", "bob");
    const event = fc.record({
      userId: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: id }),
      device: fc.constantFrom("a", "b", null),
      bot: fc.oneof(
        { weight: 9, arbitrary: fc.constant(false) },
        { weight: 1, arbitrary: fc.constant(true) },
      ),
      // Pauses of exactly 30 minutes and a second more or less come often.
      at: fc.tuple(fc.nat(20), fc.constantFrom(-SECOND, 0, SECOND)).map(([n, off]) => n * 10 * MINUTE + off),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 25 }), (rows) => {
        const events = rows
          .filter(({ userId, device }) => userId !== null || device !== null)
          .map((row, index) => ({
            ...STORED_EVENT,
            ...row,
            _id: `e${index}`,
            at: new Date(NOON + row.at),
            visitor: visitorOf(row),
          }));
        for (const [, own] of Map.groupBy(
          events.filter(({ bot, device }) => !bot && device !== null),
          ({ device }) => device,
        )) {
          const visitors = attribute(own.sort(byTime));
          own.forEach((one, index) => {
            one.visitor = visitors[index] ?? one.visitor;
          });
        }
        const made = [...Map.groupBy(events, ({ visitor }) => visitor)].flatMap(([visitor, own]) =>
          sessionise(visitor, own.sort(byTime)),
        );
        expect(
          made
            .map(
              ({ visitor, start, end, counts }) =>
                `${visitor} ${start.getTime()} ${end.getTime()} ${counts.events}`,
            )
            .sort(),
        ).toEqual(bruteForce(events));
      }),
      { numRuns: process.env.AIZY_LONG ? 20_000 : 1500 },
    );
  }, 300_000);

  test("a visitor with more events than a transaction takes", async () => {
    const [many, step] = process.env.AIZY_LONG ? [100_000, STEP] : [5500, 2000];
    const settleAll = async () => {
      while ((await settleStep(t.deps, step)).settled > 0);
      return sessions();
    };
    // One batch shows the form; the others are put in as it was stored.
    await sent(t, { batch: [anEvent({ anonymousId: "busy", ...at(0) })] });
    const [first] = await eventsOf(t).find({}).toArray();
    if (!first) throw new Error("nothing was stored");
    for (let from = 1; from < many; from += 5000) {
      const events = Array.from({ length: Math.min(5000, many - from) }, (_, index) => ({
        ...first,
        _id: `busy-${from + index}`,
        at: new Date(NOON + (from + index) * 100),
      }));
      expect((await t.deps.analytics.events.insert(events)).size).toBe(events.length);
    }
    expect(await settleAll()).toEqual([["d:busy", 0, many / 10 - 0.1, many]]);
    await sent(t, { batch: [anEvent({ anonymousId: "busy", userId: "ann", ...at(-MINUTE) })] });
    expect(await settleAll()).toEqual([["u:ann", -60, many / 10 - 0.1, many + 1]]);
  }, 600_000);
});

describe("a rebuild", () => {
  beforeEach(() => t.clock.set("2026-11-23T12:00:00Z"));

  const isRight = async () => {
    await settle(t.deps);
    const raw = await eventsOf(t).find({}).toArray();
    expect(raw.filter(({ todo }) => todo === 1)).toEqual([]);
    expect(await storedSessions()).toEqual(createOracle(raw).sessions());
    const everything = { from: new Date(0), to: new Date(8e15) };
    for (const level of ["quarterHour", "day"] as const) {
      const totals = await t.deps.analytics.rollups.find({ level, kind: "totals", range: everything });
      const counts = totals.map(({ totals }) => (totals as Totals).counts);
      expect(counts.reduce((sum, { events }) => sum + events, 0)).toBe(raw.length);
      expect(counts.reduce((sum, { sessions }) => sum + sessions, 0)).toBe(
        await sessionsOf(t).countDocuments(),
      );
    }
  };
  /** Events of many visitors over days, settled. */
  const fill = async (count: number) => {
    const random = seeded(7);
    const events = Array.from({ length: count }, (_, index) =>
      anEvent({
        anonymousId: `d${index % 150}`,
        ...(random() < 0.1 ? { userId: `u${index % 20}` } : {}),
        ...at(-Math.floor(random() * 2 * 24 * 60) * MINUTE),
      }),
    );
    for (let index = 0; index < count; index += 500) {
      await sent(t, { batch: events.slice(index, index + 500) });
    }
    await settle(t.deps);
    return events;
  };

  test("killed in the midst loses nothing: the next settling finishes it", async () => {
    await fill(1200);
    const rollups = t.deps.mongo.connection.collection("analyticsRollups");
    const signs = [
      () => sessionsOf(t).countDocuments(),
      () => rollups.countDocuments({ level: "quarter" }),
      () => rollups.countDocuments({ level: "day" }),
    ];
    for (const count of signs) {
      // Everything is another than it was, as after a change of the rules.
      await sessionsOf(t).deleteMany({});
      await rollups.deleteMany({});
      const program = startProgram(["src/analytics/rebuild.cli.ts"]);
      await eventually(async () => (await count()) > 0, "the rebuild's beginning");
      await program.kill();
      await isRight();
    }
  }, 300_000);

  test("goes on when others hold it up for longer than a transaction may take", async () => {
    await fill(300);
    const { promise: held, resolve: hold } = Promise.withResolvers<void>();
    const others = t.deps.mongo.transaction(async (tx) => {
      await t.deps.analytics.queue.guard(tx);
      hold();
      await Bun.sleep(6000);
    });
    await held;
    expect(await rebuild(t.deps)).toBe(true);
    await others;
    await isRight();
  }, 60_000);

  test("while other processes settle and events come in leaves what is right", async () => {
    await fill(800);
    const others = Array.from({ length: 2 }, () => startProgram(["src/analytics/rebuild.cli.ts"]));
    for (let step = 0; step < 10; step++) {
      await sent(t, {
        batch: [
          anEvent({ anonymousId: `d${step}`, ...at(-step * 40 * MINUTE) }),
          anEvent(at(-step * MINUTE)),
        ],
      });
      await settleForReader({ ...t.deps });
    }
    for (const program of others) {
      expect([await program.ended(), program.output()]).toEqual([0, expect.any(String)]);
    }
    await isRight();
  }, 300_000);

  test("replaces what is wrong: sessions and rollups that no event gives, others that are missing", async () => {
    await fill(300);
    const good = await sessionsOf(t).find({}).sort({ _id: 1 }).toArray();
    const [first, second, third] = good;
    if (!first || !second || !third) throw new Error("no sessions");
    await sessionsOf(t).deleteOne({ _id: first._id });
    await sessionsOf(t).updateOne({ _id: second._id }, { $set: { end: NOWHERE, "counts.events": 99 } });
    await sessionsOf(t).insertOne({ ...third, _id: "f".repeat(32), visitor: "d:nobody", start: NOWHERE });
    const rollups = t.deps.mongo.connection.collection("analyticsRollups");
    await rollups.updateOne(
      { kind: "totals", level: "quarterHour" },
      { $set: { "totals.counts.events": 1000 } },
    );
    await rebuild(t.deps);
    expect(await sessionsOf(t).find({}).sort({ _id: 1 }).toArray()).toEqual(good);
    await isRight();
  }, 60_000);

  test("judges again who is a bot, as the list of bots grows", async () => {
    await sent(t, {
      batch: [
        anEvent({ anonymousId: "a", ...at(0) }),
        anEvent({ anonymousId: "a", ...at(MINUTE) }),
        anEvent({ anonymousId: "a", userId: "ann", ...at(2 * MINUTE) }),
      ],
    });
    expect(await sessions()).toEqual([["u:ann", 0, 120, 3]]);
    // As if an older list had not known the agent of the one that names the person.
    await eventsOf(t).updateOne(
      { userId: "ann" },
      { $set: { userAgent: "NewCrawler/1.0 (+https://bot.example)" } },
    );
    await rebuild(t.deps);
    expect(await sessions()).toEqual([
      ["d:a", 0, 60, 2],
      ["b:a", 120, 120, 1],
    ]);
    await eventsOf(t).updateOne({ userId: "ann" }, { $set: { userAgent: BROWSER } });
    await rebuild(t.deps);
    expect(await sessions()).toEqual([["u:ann", 0, 120, 3]]);
    await isRight();
  }, 60_000);
});

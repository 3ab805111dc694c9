import { beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, eventsOf, seeded, sent, sessionsOf } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { MINUTE, SECOND } from "../clock";
import type { EventDocument, SessionDocument } from "./model";
import { rebuild, settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const NOON = Date.parse("2026-11-20T12:00:00Z");
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
 * together when a chain of others with pauses of at most 30 minutes joins them.
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
    return groups;
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

const asText = (rows: SessionDocument[]): string[] =>
  rows
    .map(
      ({ visitor, start, end, counts }) => `${visitor} ${start.getTime()} ${end.getTime()} ${counts.events}`,
    )
    .sort();

const storedSessions = async () => asText(await sessionsOf(t).find({}).toArray());

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
          await settle({ ...t.deps });
        }
      }),
    );
    await settle(t.deps);
    expect(await eventsOf(t).countDocuments({ todo: 1 })).toBe(0);
    expect(await storedSessions()).toEqual(bruteForce(await eventsOf(t).find({}).toArray()));
  }, 120_000);

  test("a visitor with 100,000 events", async () => {
    // One batch shows the form; the others are put in as it was stored.
    await sent(t, { batch: [anEvent({ anonymousId: "busy", ...at(0) })] });
    const [first] = await eventsOf(t).find({}).toArray();
    if (!first) throw new Error("nothing was stored");
    for (let from = 1; from < 100_000; from += 5000) {
      const events = Array.from({ length: Math.min(5000, 100_000 - from) }, (_, index) => ({
        ...first,
        _id: `busy-${from + index}`,
        at: new Date(NOON + (from + index) * 100),
      }));
      expect((await t.deps.analytics.insertEvents(events)).size).toBe(events.length);
    }
    expect(await sessions()).toEqual([["d:busy", 0, 9999.9, 100_000]]);
    await sent(t, { batch: [anEvent({ anonymousId: "busy", userId: "ann", ...at(-MINUTE) })] });
    expect(await sessions()).toEqual([["u:ann", -60, 9999.9, 100_001]]);
  }, 180_000);
});

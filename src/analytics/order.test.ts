import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ARRIVAL, anEvent, emptyAnalytics, STORED_EVENT, sent } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { SECOND } from "../lib/clock";
import { readBatch } from "./intake/read";
import { funnelReport } from "./reports/funnel";
import { periodQuery } from "./reports/schema";
import { listSessionEvents, listSessions } from "./sessions/list";
import { byTime, sessionise } from "./sessions/sessionise";
import { settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const STEPS = ["Product Viewed", "Product Added", "Order Completed"];

/** 13 devices, each with a view, an addition and an order whose ids say nothing of their order. */
const purchases = (timeOf: (step: number) => string | undefined) =>
  Array.from({ length: 13 }, (_, device) =>
    STEPS.map((event, step) =>
      anEvent({
        messageId: crypto.randomUUID(),
        event,
        anonymousId: `device-${device}`,
        timestamp: timeOf(step),
      }),
    ),
  ).flat();

const funnel = async () => {
  await settle(t.deps);
  const { steps } = await funnelReport(t.deps, periodQuery.parse({}));
  return steps.map(({ sessions }) => sessions);
};

describe("events of one batch count in its order", () => {
  const ahead = (seconds: number) => new Date(t.clock.now().getTime() + seconds * SECOND).toISOString();

  test("when they have the same time", async () => {
    const time = ahead(-60);
    await sent(t, { batch: purchases(() => time) });
    expect(await funnel()).toEqual([13, 13, 13]);
  });

  test("when they have no time", async () => {
    await sent(t, { batch: purchases(() => undefined) });
    expect(await funnel()).toEqual([13, 13, 13]);
  });

  test("when some have no time: they happened before what comes after them", async () => {
    for (const untimed of [[0], [1], [0, 1], [0, 2]]) {
      await emptyAnalytics(t);
      await sent(t, { batch: purchases((step) => (untimed.includes(step) ? undefined : ahead(step - 60))) });
      expect([untimed, await funnel()]).toEqual([untimed, [13, 13, 13]]);
    }
  });

  test("but an event of now is not taken for an old one that comes behind it", () => {
    const now = t.clock.now();
    const receivedAt = { ...ARRIVAL, receivedAt: now };
    const batch = [
      anEvent(),
      anEvent({ timestamp: ahead(-3600) }),
      anEvent({ anonymousId: "b", timestamp: ahead(-5) }),
    ];
    const times = readBatch(batch, receivedAt).events.map(
      ({ document }) => document.at.getTime() - now.getTime(),
    );
    expect(times).toEqual([0, -3600 * SECOND, -5 * SECOND]);
  });

  test("when the device's clock is ahead, by less and by more than what is called impossible", async () => {
    await sent(t, { batch: purchases((step) => ahead(20 + 30 * step)) });
    expect(await funnel()).toEqual([13, 13, 13]);
  });

  test("also in the list of a session's events, page by page", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `Step ${index}`);
    const time = ahead(-60);
    const batch = names.map((event) => anEvent({ messageId: crypto.randomUUID(), event, timestamp: time }));
    await sent(t, { batch });
    await settle(t.deps);
    const [session] = (await listSessions(t.deps, { ...periodQuery.parse({}), limit: 1 })).data;
    const listed: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const { data, page } = await listSessionEvents(t.deps, session?.id ?? "", { limit: 2, cursor });
      listed.push(...data.map(({ name }) => name));
      cursor = page.nextCursor;
    }
    expect(listed).toEqual(names);
  });
});

test("events of two requests at one time count in the order of the requests (pure)", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uuid(), { minLength: 3, maxLength: 3 }),
      fc.integer({ min: 0, max: 2 }),
      (ids, cut) => {
        const time = "2026-11-01T10:00:00.000Z";
        const events = STEPS.map((event, step) => anEvent({ messageId: ids[step], event, timestamp: time }));
        const received = new Date("2026-11-01T10:00:09Z");
        const batches = [events.slice(0, cut), events.slice(cut)];
        const documents = batches.flatMap(
          (batch, index) =>
            readBatch(batch, { ...ARRIVAL, receivedAt: new Date(received.getTime() + index) }).events,
        );
        const own = documents.map(({ document }) => ({ ...STORED_EVENT, ...document })).sort(byTime);
        expect(sessionise("d:device-1", own).map(({ funnel }) => funnel)).toEqual([3]);
      },
    ),
  );
});

import { beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, eventsOf, sent, sentByServer, sessionsOf } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { DAY, HOUR, MINUTE } from "../lib/clock";
import { rebuild } from "./rebuild";
import { overviewReport } from "./reports/overview";
import { periodQuery, topQuery } from "./reports/schema";
import { sourcesReport } from "./reports/tops";
import { settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const at = (ago: number) => ({ timestamp: new Date(t.clock.now().getTime() - ago).toISOString() });
const page = (ago: number, more = {}) =>
  anEvent({
    type: "page",
    event: undefined,
    context: { page: { url: "https://shop.example/", referrer: "https://news.example/" } },
    ...at(ago),
    ...more,
  });
const order = (ago: number, more = {}) =>
  anEvent({
    event: "Order Completed",
    properties: { order_id: "o1", total: 10, currency: "EUR" },
    ...at(ago),
    ...more,
  });
const visits = async () => {
  await settle(t.deps);
  const rows = await sessionsOf(t).find({}).sort({ start: 1 }).toArray();
  return rows.map(({ visitor, counts, start, end }) => [
    visitor,
    counts.events,
    counts.orders,
    end.getTime() - start.getTime(),
  ]);
};

describe("what a server reports without a page", () => {
  test("makes no visit and no visitor: nightly identify calls, refunds", async () => {
    const identify = Array.from({ length: 30 }, (_, index) =>
      anEvent({ type: "identify", event: undefined, anonymousId: undefined, userId: `p${index}` }),
    );
    const refund = anEvent({ event: "Order Refunded", userId: "p1", properties: { total: 1 } });
    await sentByServer(t, { batch: [...identify, refund] });
    expect(await visits()).toEqual([]);
    const overview = await overviewReport(t.deps, periodQuery.parse({}));
    expect(overview).toMatchObject({ visitors: 0, sessions: 0, events: 31 });
  });

  test("joins the last visit: a webhook 45 minutes later is its conversion, not one of direct", async () => {
    await sent(t, { batch: [page(HOUR, { userId: "ann" })] });
    await sentByServer(t, { batch: [order(15 * MINUTE, { anonymousId: undefined, userId: "ann" })] });
    expect(await visits()).toEqual([["u:ann", 1, 1, 0]]);
    const { sources } = await sourcesReport(t.deps, topQuery.parse({}));
    expect(sources).toMatchObject([
      { source: "news.example / referral", sessions: 1, conversions: 1, bounceRate: 0 },
    ]);
  });

  test("finds the visit by its device too, when nobody was named there", async () => {
    await sent(t, { batch: [page(2 * HOUR)] });
    await sentByServer(t, { batch: [order(HOUR, { userId: "ann" })] });
    expect(await visits()).toEqual([["d:device-1", 1, 1, 0]]);
    await sent(t, { batch: [page(2 * HOUR - MINUTE, { userId: "ann" })] });
    expect(await visits()).toEqual([["u:ann", 2, 1, MINUTE]]);
  });

  test("goes to a visit that is reported late, and back when that is removed", async () => {
    const named = { anonymousId: undefined, userId: "ann" };
    await sent(t, { batch: [page(3 * HOUR, named)] });
    await sentByServer(t, { batch: [order(0, named)] });
    expect(await visits()).toEqual([["u:ann", 1, 1, 0]]);
    await sent(t, { batch: [page(HOUR, { ...named, messageId: "late" })] });
    expect(await visits()).toEqual([
      ["u:ann", 1, 0, 0],
      ["u:ann", 1, 1, 0],
    ]);
    await eventsOf(t).deleteOne({ _id: "late" });
    expect(await rebuild(t.deps)).toBe(true);
    expect(await visits()).toEqual([["u:ann", 1, 1, 0]]);
  });

  test("prolongs no visit, and none after a month", async () => {
    const named = { anonymousId: undefined, userId: "ann" };
    await sent(t, { batch: [page(40 * DAY, named), page(HOUR, named)] });
    const tick = (ago: number) => anEvent({ event: "Stock Checked", ...named, ...at(ago) });
    await sentByServer(t, {
      batch: [tick(HOUR - 20 * MINUTE), tick(HOUR - 40 * MINUTE), order(9 * DAY, named)],
    });
    await sent(t, { batch: [page(HOUR - 50 * MINUTE, named)] });
    expect((await visits()).map(([, events, orders, length]) => [events, orders, length])).toEqual([
      [1, 0, 0],
      [1, 0, 0],
      [1, 0, 0],
    ]);
  });

  test("of earlier versions is judged by a rebuild", async () => {
    await sentByServer(t, { batch: [anEvent({ userId: "ann" })] });
    const [stored] = await eventsOf(t).find({}).toArray();
    await eventsOf(t).updateMany({}, { $unset: { background: 1 }, $set: { todo: 1 } });
    expect(await visits()).toHaveLength(1);
    expect(await rebuild(t.deps)).toBe(true);
    expect(await visits()).toEqual([]);
    expect(await eventsOf(t).findOne({})).toMatchObject({ background: true, visitor: stored?.visitor });
  });
});

import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { anEvent, emptyAnalytics, eventsOf, STORED_EVENT, sent, sentByServer } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { DAY, MINUTE } from "../lib/clock";
import type { EventDocument } from "./model";
import { countOrders } from "./orders";
import { rebuild } from "./rebuild";
import { overviewReport } from "./reports/overview";
import { periodQuery, productsQuery } from "./reports/schema";
import { productsReport } from "./reports/tops";
import { settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const ago = (minutes: number) => new Date(t.clock.now().getTime() - minutes * MINUTE).toISOString();
const of = (event: string, minutes: number, properties: Record<string, unknown> = {}, more = {}) =>
  anEvent({
    messageId: crypto.randomUUID(),
    event,
    timestamp: ago(minutes),
    properties: { order_id: "o1", currency: "EUR", ...properties },
    ...more,
  });
const LINES = [
  { product_id: "lamp", quantity: 2, price: 9.99 },
  { product_id: "chair", quantity: "1", price: "30.01" },
];
const overview = async () => {
  await settle(t.deps);
  return overviewReport(t.deps, periodQuery.parse({}));
};
const euros = (gross: number, refunded = 0) => [
  { currency: "EUR", gross, refunded, net: gross - refunded, amount: gross - refunded },
];

describe("an order is one order", () => {
  test("however often and by whom it is reported, in whatever order; the server's amount counts", async () => {
    await sent(t, { batch: [anEvent({ event: "Product Viewed", timestamp: ago(9) })] });
    await sentByServer(t, {
      batch: [of("Order Completed", 2, { total: "49.99", products: LINES }, { userId: "ann" })],
    });
    for (const total of [0.01, 9_999_999_999]) {
      await sent(t, { batch: [of("Order Completed", 8, { total, products: LINES })] });
    }
    const expected = {
      orders: 1,
      confirmedOrders: 1,
      conversions: 1,
      units: 3,
      revenue: euros(4999),
      unconfirmedRevenue: [],
    };
    expect(await overview()).toMatchObject(expected);
    const { products } = await productsReport(t.deps, productsQuery.parse({ sort: "quantity" }));
    expect(products.map(({ id, orders, quantity }) => [id, orders, quantity])).toEqual([
      ["lamp", 1, 2],
      ["chair", 1, 1],
    ]);
    expect(await rebuild(t.deps)).toBe(true);
    expect(await overview()).toMatchObject(expected);
  });

  test("what browsers alone report is no revenue, and never more than one order", async () => {
    await sent(t, { batch: [of("Order Completed", 8, { total: 9_999_999_999 })] });
    await sent(t, { batch: [of("Order Completed", 3, { total: 5 }, { anonymousId: "device-2" })] });
    expect(await overview()).toMatchObject({
      orders: 1,
      confirmedOrders: 0,
      conversions: 1,
      revenue: [],
      unconfirmedRevenue: euros(999_999_999_900),
    });
  });

  test("a browser that knows the message id of a server's event does not keep it out, before or after", async () => {
    const event = of("Order Completed", 5, { total: 10 }, { messageId: "order-1" });
    const forged = { ...event, properties: { order_id: "o1", currency: "EUR", total: 1 } };
    await sent(t, { batch: [forged, { ...forged, messageId: "server order-1" }] });
    expect(await sentByServer(t, { batch: [event] })).toMatchObject({ accepted: 1, duplicate: 0 });
    expect(await sentByServer(t, { batch: [event] })).toMatchObject({ accepted: 0, duplicate: 1 });
    expect(await overview()).toMatchObject({ orders: 1, revenue: euros(1000) });
  });

  test("updates, refunds and cancellations count, and nobody else's", async () => {
    await sentByServer(t, {
      batch: [
        of("Order Refunded", 3, { total: 10, refund_id: "r1" }),
        of("Order Refunded", 2, { total: 10, refund_id: "r1" }),
        of("Order Updated", 4, { total: 100, products: LINES }),
        of("Order Completed", 6, { total: 49.99, products: LINES.slice(0, 1) }),
        of("Order Refunded", 1, { products: [LINES[1]] }),
      ],
    });
    await sent(t, { batch: [of("Order Refunded", 1), of("Order Cancelled", 1)] });
    expect(await overview()).toMatchObject({
      orders: 1,
      cancelledOrders: 0,
      units: 3,
      unitsRefunded: 1,
      revenue: euros(10_000, 4001),
    });
    await sentByServer(t, { batch: [of("Order Cancelled", 0), of("Order Refunded", 0, { total: 5 })] });
    expect(await overview()).toMatchObject({
      orders: 1,
      cancelledOrders: 1,
      unitsRefunded: 3,
      revenue: euros(10_000, 10_000),
    });
  });

  test("each counts when it happened: a refund changes no earlier day", async () => {
    await sentByServer(t, {
      batch: [of("Order Completed", (3 * DAY) / MINUTE, { total: 20 }), of("Order Refunded", 10)],
    });
    await settle(t.deps);
    const [from, to] = [ago((4 * DAY) / MINUTE), ago((2 * DAY) / MINUTE)];
    const report = (query: Record<string, string>) => overviewReport(t.deps, periodQuery.parse(query));
    expect(await report({ from, to })).toMatchObject({ orders: 1, revenue: euros(2000) });
    expect(await report({ from: to })).toMatchObject({ orders: 0, revenue: euros(0, 2000) });
  });

  test("a server's late report takes an order's revenue back to its own time", async () => {
    await sent(t, { batch: [of("Order Completed", 10, { total: 7 })] });
    expect(await overview()).toMatchObject({ revenue: [], unconfirmedRevenue: euros(700) });
    await sentByServer(t, { batch: [of("Order Completed", (5 * DAY) / MINUTE, { total: 8 })] });
    expect(await overview()).toMatchObject({ orders: 1, revenue: euros(800), unconfirmedRevenue: [] });
    const stored = await eventsOf(t).countDocuments({ "order.placed": true });
    expect(stored).toBe(1);
  });
});

test("whatever is reported, nothing is refunded twice and one order is placed and credited (pure)", () => {
  const kinds = ["order", "update", "refund", "cancel"] as const;
  const event = fc.record({
    kind: fc.constantFrom(...kinds),
    origin: fc.constantFrom("browser" as const, "server" as const),
    at: fc.integer({ min: 0, max: 9 }).map((time) => new Date(time)),
    revenue: fc.nat(1000),
    amountMissing: fc.boolean(),
    refundId: fc.constantFrom(null, "r1", "r2"),
    products: fc.array(fc.record({ id: fc.constantFrom("a", "b"), quantity: fc.nat(3) }), { maxLength: 2 }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (events, order) => {
      const own: EventDocument[] = events.map((more, index) => ({
        ...STORED_EVENT,
        ...more,
        _id: `${index}`,
        orderId: "o",
        currency: "EUR",
      }));
      const parts = countOrders(own);
      const shuffled = own
        .map((value) => ({ value, rank: order.next().value }))
        .sort((a, b) => a.rank - b.rank);
      expect(countOrders(shuffled.map(({ value }) => value))).toEqual(parts);
      const all = [...parts.values()];
      const stated = own.some(({ kind }) => kind === "order" || kind === "update");
      expect(all.filter(({ placed }) => placed)).toHaveLength(stated ? 1 : 0);
      expect(all.filter(({ credited }) => credited)).toHaveLength(stated ? 1 : 0);
      expect(all.filter(({ cancelled }) => cancelled).length).toBeLessThanOrEqual(1);
      const gross = all.reduce((sum, part) => sum + part.gross, 0);
      const refunded = all.reduce((sum, part) => sum + part.refunded, 0);
      if (stated) expect(refunded).toBeLessThanOrEqual(gross);
      const cancelled = all.some((part) => part.cancelled);
      if (cancelled) expect(refunded).toBe(gross);
    }),
  );
});

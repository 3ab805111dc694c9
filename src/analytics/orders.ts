import type { EventDocument, EventProduct, OrderPart } from "./model";
import { byTime } from "./sessions/sessionise";

/** What the count of an order is made from. */
export type OrderEvent = Pick<
  EventDocument,
  | "_id"
  | "kind"
  | "at"
  | "sequence"
  | "visitor"
  | "bot"
  | "origin"
  | "products"
  | "revenue"
  | "amountMissing"
  | "currency"
  | "orderId"
  | "refundId"
  | "order"
>;

const NOTHING: OrderPart = {
  placed: false,
  credited: false,
  confirmed: false,
  cancelled: false,
  gross: 0,
  refunded: 0,
  unitsRefunded: 0,
  currency: null,
  products: [],
};

export const ORDER_KINDS = ["order", "update", "refund", "cancel"] as const;
export const isOrderKind = (kind: EventDocument["kind"]): boolean =>
  (ORDER_KINDS as readonly unknown[]).includes(kind);

export const unitsOf = (products: EventProduct[]): number =>
  products.reduce((sum, { quantity }) => sum + quantity, 0);

/** The part of an event that was stored before orders were counted once. */
export const partOf = (
  event: Pick<OrderEvent, "kind" | "origin" | "revenue" | "currency" | "products" | "order">,
) =>
  event.order ??
  (event.kind === "order"
    ? {
        ...NOTHING,
        placed: true,
        credited: true,
        confirmed: event.origin === "server",
        gross: event.revenue,
        currency: event.currency,
        products: event.products,
      }
    : NOTHING);

/**
 * What each event of one order adds to the figures. The order counts once, at its first Order Completed (or else Order
 * Updated), with the amount, currency and products that it has after its updates. Refunds and cancellations count when
 * they happen, for no more than what is left. Once a server's key has reported the order, what browsers say of it adds
 * nothing; but the visit in which a browser reported it has the conversion.
 * @param events all of one order id, people's or bots'
 */
function countOrder(events: OrderEvent[]): Map<string, OrderPart> {
  const parts = new Map(events.map(({ _id }) => [_id, { ...NOTHING }]));
  const states = (event: OrderEvent) => event.kind === "order" || event.kind === "update";
  const servers = events.filter(({ origin }) => origin === "server");
  const confirmed = servers.some(states);
  const told = confirmed ? servers : events;
  const placed = told.find(({ kind }) => kind === "order") ?? told.find(states);
  const latest = <Value>(read: (event: OrderEvent) => Value | null): Value | null =>
    told
      .filter((event) => event.kind === "update" || event === placed)
      .reduce<Value | null>((value, event) => read(event) ?? value, null);
  const currency = latest((event) => event.currency);
  const products = latest((event) => (event.products.length > 0 ? event.products : null)) ?? [];
  const gross = latest((event) => (event.amountMissing ? null : event.revenue)) ?? 0;
  if (placed) {
    Object.assign(parts.get(placed._id) ?? {}, { placed: true, confirmed, gross, currency, products });
    const reports = events.filter(({ kind, origin }) => kind === "order" && origin === "browser");
    const credited = reports.find(({ visitor }) => visitor === placed.visitor) ?? reports[0] ?? placed;
    const part = parts.get(credited._id);
    if (part) Object.assign(part, { credited: true, worth: gross, currency });
  }
  let left = placed ? gross : Number.POSITIVE_INFINITY;
  let unitsLeft = placed ? unitsOf(products) : Number.POSITIVE_INFINITY;
  let cancelled = false;
  const refunds = new Set<string>();
  for (const event of told) {
    if (event.kind !== "refund" && event.kind !== "cancel") continue;
    if (event.refundId != null && refunds.size === refunds.add(event.refundId).size) continue;
    const whole = event.kind === "cancel" || (event.amountMissing === true && event.products.length === 0);
    const foreign = event.currency !== null && currency !== null && event.currency !== currency;
    const stated = whole && !foreign ? left : event.revenue;
    const amount = !Number.isFinite(stated) ? 0 : foreign ? stated : Math.min(stated, left);
    const units = whole ? unitsLeft : Math.min(unitsOf(event.products), unitsLeft);
    if (!foreign) left -= amount;
    if (Number.isFinite(units)) unitsLeft -= units;
    Object.assign(parts.get(event._id) ?? {}, {
      confirmed: placed ? confirmed : event.origin === "server",
      cancelled: event.kind === "cancel" && placed !== undefined && !cancelled,
      refunded: amount,
      unitsRefunded: Number.isFinite(units) ? units : 0,
      currency: event.currency ?? currency,
    });
    cancelled ||= event.kind === "cancel";
  }
  return parts;
}

/** What each of these events adds, when they are all events of their orders. One without an id is an order of its own. */
export function countOrders(events: OrderEvent[]): Map<string, OrderPart> {
  const orders = Map.groupBy(
    events.toSorted(byTime),
    ({ _id, orderId, bot }) => `${bot} ${orderId === null ? `event ${_id}` : `order ${orderId}`}`,
  );
  return new Map([...orders.values()].flatMap((own) => [...countOrder(own)]));
}

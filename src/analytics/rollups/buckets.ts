import { DAY, MINUTE } from "../../lib/clock";
import type { RollupEvent } from "../events.store";
import type { SessionDocument } from "../model";
import { isOrderKind, partOf, unitsOf } from "../orders";
import type { FollowUp } from "../searches.store";
import { visitorNumber } from "./packing";

/** How long the source of a visit counts for direct visits after it, in milliseconds. */
export const SOURCE_WINDOW = 30 * DAY;

/** Length of a bucket, in milliseconds: zones differ by quarters of an hour. */
export const QUARTER_HOUR = 15 * MINUTE;

export const quarterHourOf = (time: Date): Date =>
  new Date(Math.floor(time.getTime() / QUARTER_HOUR) * QUARTER_HOUR);

/** What is counted of a bucket. Everything adds up over buckets. */
export const COUNTS = [
  "events",
  "pages",
  "views",
  "clicks",
  "adds",
  "checkouts",
  "orders",
  "confirmedOrders",
  "cancelledOrders",
  "units",
  "unitsRefunded",
  "searches",
  "searchesWithoutResult",
  "sessions",
  "bounces",
  "conversions",
  "seconds",
  "viewed",
  "added",
  "ordered",
] as const;
export type CountName = (typeof COUNTS)[number];

/** Minor units by currency. */
type Amounts = Record<string, number>;

/** What orders came to, and what of it was paid back: as servers' keys say, and as browsers alone do. */
const AMOUNTS = ["revenue", "refunded", "unconfirmed", "unconfirmedRefunded"] as const;

export interface Totals extends Record<(typeof AMOUNTS)[number], Amounts> {
  counts: Record<CountName, number>;
}

const noTotals = (): Totals => ({
  counts: Object.fromEntries(COUNTS.map((name) => [name, 0])) as Record<CountName, number>,
  revenue: {},
  refunded: {},
  unconfirmed: {},
  unconfirmedRefunded: {},
});

const addAmount = (sum: Amounts, currency: string, amount: number): void => {
  if (amount !== 0) sum[currency] = (sum[currency] ?? 0) + amount;
};

/** Adds `more` to `sum`, and gives it. What earlier versions did not count is not there. */
export function addTotals(sum: Totals, more: Partial<Totals>): Totals {
  for (const name of COUNTS) sum.counts[name] += more.counts?.[name] ?? 0;
  for (const name of AMOUNTS) {
    for (const [currency, amount] of Object.entries(more[name] ?? {})) addAmount(sum[name], currency, amount);
  }
  return sum;
}

/** The columns of each kind of rows, after the key. */
export const COLUMNS = {
  products: ["views", "clicks", "adds", "orders", "quantity"],
  categories: ["views", "adds", "orders"],
  searches: ["searches", "withoutResult", "clicked", "clicks", "clickMs", "ordered"],
  sources: ["sessions", "bounces", "conversions", "newVisitors"],
  attributed: ["sessions", "bounces", "conversions", "newVisitors"],
} as const;
export type RowKind = keyof typeof COLUMNS;
export const ROW_KINDS = Object.keys(COLUMNS) as RowKind[];

/** Rows of counts by key. */
export type Rows = Map<string, number[]>;

export const addRow = (rows: Rows, key: string, values: readonly number[]): void => {
  const row = rows.get(key);
  if (row === undefined) rows.set(key, [...values]);
  else
    values.forEach((value, index) => {
      row[index] = (row[index] ?? 0) + value;
    });
};

/** One bucket of people or of bots. */
export interface Bucket {
  totals: Totals;
  visitors: Set<number>;
  newVisitors: Set<number>;
  rows: Record<RowKind, Rows>;
}

export const emptyBucket = (): Bucket => ({
  totals: noTotals(),
  visitors: new Set(),
  newVisitors: new Set(),
  rows: {
    products: new Map(),
    categories: new Map(),
    searches: new Map(),
    sources: new Map(),
    attributed: new Map(),
  },
});

const KIND_COUNTS: Partial<Record<NonNullable<RollupEvent["kind"]>, CountName>> = {
  page: "pages",
  view: "views",
  click: "clicks",
  add: "adds",
  checkout: "checkouts",
  search: "searches",
};

/** What followed searches, by the ids of their events. */
export interface Followed {
  clicks: Map<string, FollowUp[]>;
  /** Searches after whose click an order of the same thing came. */
  ordered: Set<string>;
}

/** Counts what an event adds to the figures of its order. */
function countOrderPart({ totals, rows }: Bucket, event: RollupEvent): void {
  const { counts } = totals;
  const part = partOf(event);
  const currency = part.currency ?? "XXX";
  addAmount(part.confirmed ? totals.revenue : totals.unconfirmed, currency, part.gross);
  addAmount(part.confirmed ? totals.refunded : totals.unconfirmedRefunded, currency, part.refunded);
  counts.unitsRefunded += part.unitsRefunded;
  if (part.cancelled) counts.cancelledOrders++;
  if (!part.placed) return;
  counts.orders++;
  if (part.confirmed) counts.confirmedOrders++;
  counts.units += unitsOf(part.products);
  for (const { id, quantity } of part.products) addRow(rows.products, id, [0, 0, 0, 1, quantity]);
  for (const category of event.categories) addRow(rows.categories, category, [0, 0, 1]);
}

/** Counts events into a bucket. Pure: the same events give the same bucket. */
export function countEvents(bucket: Bucket, events: RollupEvent[], followed: Followed): void {
  const { counts } = bucket.totals;
  for (const event of events) {
    counts.events++;
    if (isOrderKind(event.kind)) countOrderPart(bucket, event);
    const name = event.kind === null ? undefined : KIND_COUNTS[event.kind];
    if (name !== undefined) counts[name]++;
    const one = (...kinds: RollupEvent["kind"][]) => (kinds.includes(event.kind) ? 1 : 0);
    if (one("view", "click", "add") === 1) {
      for (const { id } of event.products) {
        addRow(bucket.rows.products, id, [one("view"), one("click"), one("add"), 0, 0]);
      }
    }
    if (one("view", "list", "add") === 1) {
      for (const category of event.categories) {
        addRow(bucket.rows.categories, category, [one("view", "list"), one("add"), 0]);
      }
    }
    if (event.kind === "search") {
      const withoutResult = event.results === 0 ? 1 : 0;
      counts.searchesWithoutResult += withoutResult;
      const clicks = followed.clicks.get(event._id) ?? [];
      const first = clicks.reduce((least, { at }) => Math.min(least, at.getTime()), Number.POSITIVE_INFINITY);
      addRow(bucket.rows.searches, event.query ?? "", [
        1,
        withoutResult,
        clicks.length > 0 ? 1 : 0,
        clicks.length,
        clicks.length > 0 ? first - event.at.getTime() : 0,
        followed.ordered.has(event._id) ? 1 : 0,
      ]);
    }
  }
}

/**
 * Counts sessions that began in a bucket.
 * @param identityOf whom a visitor is counted as
 * @param firstStarts when the first session of each of those began
 * @param sourceOf the last source of a session's visitor that is not direct
 */
export function countSessions(
  bucket: Bucket,
  sessions: SessionDocument[],
  {
    identityOf,
    firstStarts,
    sourceOf,
  }: {
    identityOf: (visitor: string) => string;
    firstStarts: Map<string, Date>;
    sourceOf: (session: SessionDocument) => string;
  },
): void {
  const { counts } = bucket.totals;
  for (const session of sessions) {
    const identity = identityOf(session.visitor);
    const number = visitorNumber(identity);
    const isFirst = firstStarts.get(identity)?.getTime() === session.start.getTime();
    const bounced = session.bounced ? 1 : 0;
    const converted = session.counts.orders > 0 ? 1 : 0;
    bucket.visitors.add(number);
    if (isFirst) bucket.newVisitors.add(number);
    counts.sessions++;
    counts.bounces += bounced;
    counts.conversions += converted;
    counts.seconds += Math.round((session.end.getTime() - session.start.getTime()) / 1000);
    if (session.funnel >= 1) counts.viewed++;
    if (session.funnel >= 2) counts.added++;
    if (session.funnel >= 3) counts.ordered++;
    const row = [1, bounced, converted, isFirst ? 1 : 0];
    addRow(bucket.rows.sources, session.source, row);
    addRow(bucket.rows.attributed, sourceOf(session), row);
  }
}

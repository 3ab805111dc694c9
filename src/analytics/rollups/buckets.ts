import { MINUTE } from "../../lib/clock";
import type { RollupEvent } from "../events.store";
import type { SessionDocument } from "../model";
import type { FollowUp } from "../searches.store";
import { visitorNumber } from "./packing";

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

export interface Totals {
  counts: Record<CountName, number>;
  /** Minor units by currency. */
  revenue: Record<string, number>;
}

export const noTotals = (): Totals => ({
  counts: Object.fromEntries(COUNTS.map((name) => [name, 0])) as Record<CountName, number>,
  revenue: {},
});

/** Adds `more` to `sum`, and gives it. */
export function addTotals(sum: Totals, more: Totals): Totals {
  for (const name of COUNTS) sum.counts[name] += more.counts[name];
  for (const [currency, amount] of Object.entries(more.revenue)) {
    sum.revenue[currency] = (sum.revenue[currency] ?? 0) + amount;
  }
  return sum;
}

/** The columns of each kind of rows, after the key. */
export const COLUMNS = {
  products: ["views", "clicks", "adds", "orders", "quantity"],
  categories: ["views", "adds", "orders"],
  searches: ["searches", "withoutResult", "clicked", "clicks", "clickMs", "ordered"],
  sources: ["sessions", "bounces", "conversions", "newVisitors"],
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
  rows: { products: new Map(), categories: new Map(), searches: new Map(), sources: new Map() },
});

const KIND_COUNTS: Partial<Record<NonNullable<RollupEvent["kind"]>, CountName>> = {
  page: "pages",
  view: "views",
  click: "clicks",
  add: "adds",
  checkout: "checkouts",
  order: "orders",
  search: "searches",
};

/** What followed searches, by the ids of their events. */
export interface Followed {
  clicks: Map<string, FollowUp[]>;
  /** Searches after whose click an order of the same thing came. */
  ordered: Set<string>;
}

/** Counts events into a bucket. Pure: the same events give the same bucket. */
export function countEvents(bucket: Bucket, events: RollupEvent[], followed: Followed): void {
  const { counts, revenue } = bucket.totals;
  for (const event of events) {
    counts.events++;
    const name = event.kind === null ? undefined : KIND_COUNTS[event.kind];
    if (name !== undefined) counts[name]++;
    const one = (...kinds: RollupEvent["kind"][]) => (kinds.includes(event.kind) ? 1 : 0);
    if (one("view", "click", "add", "order") === 1) {
      for (const { id, quantity } of event.products) {
        const sold = one("order") * quantity;
        addRow(bucket.rows.products, id, [one("view"), one("click"), one("add"), one("order"), sold]);
      }
    }
    if (one("view", "list", "add", "order") === 1) {
      for (const category of event.categories) {
        addRow(bucket.rows.categories, category, [one("view", "list"), one("add"), one("order")]);
      }
    }
    if (event.kind === "order" && event.revenue > 0) {
      const currency = event.currency ?? "XXX";
      revenue[currency] = (revenue[currency] ?? 0) + event.revenue;
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

/** Counts sessions that began in a bucket. @param firstStarts when each visitor's first session began */
export function countSessions(
  bucket: Bucket,
  sessions: SessionDocument[],
  firstStarts: Map<string, Date>,
): void {
  const { counts } = bucket.totals;
  for (const session of sessions) {
    const number = visitorNumber(session.visitor);
    const isFirst = firstStarts.get(session.visitor)?.getTime() === session.start.getTime();
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
    addRow(bucket.rows.sources, session.source, [1, bounced, converted, isFirst ? 1 : 0]);
  }
}

import { DAY, midnightBefore } from "../../lib/clock";
import { pageEnd } from "../../lib/paging";
import type { AnalyticsDeps } from "../deps";
import type { Level, Range } from "../model";
import { type Bucket, emptyBucket, type RowKind, type Rows } from "../rollups/buckets";
import { addDocument } from "../rollups/documents";
import { settleForReader } from "../settle";
import { resolvePeriod } from "./period";
import type { PeriodQuery, SeriesReport } from "./schema";

/** What every report begins with: its period, and what came in counted. */
export async function begin(
  deps: AnalyticsDeps,
  query: PeriodQuery & { interval?: SeriesReport["interval"] },
) {
  const range = resolvePeriod(query, deps.clock.now());
  const complete = await settleForReader(deps);
  const period = { from: range.from.toISOString(), to: range.to.toISOString(), timezone: query.timezone };
  return { range, bot: query.traffic === "bots", head: { period, traffic: query.traffic, complete } };
}

type Part = { level: Level; range: Range };

/** A period as whole days of UTC where it can be, and quarters of an hour at its edges. */
export function partsOf({ from, to }: Range): Part[] {
  const firstDay = new Date(Math.ceil(from.getTime() / DAY) * DAY);
  const lastDay = new Date(midnightBefore(to.getTime()));
  if (firstDay >= lastDay) return [{ level: "quarterHour", range: { from, to } }];
  const parts: Part[] = [
    { level: "quarterHour", range: { from, to: firstDay } },
    { level: "day", range: { from: firstDay, to: lastDay } },
    { level: "quarterHour", range: { from: lastDay, to } },
  ];
  return parts.filter(({ range }) => range.from < range.to);
}

/** The rollups of one kind in a period, added up. */
export async function sumOf(
  deps: AnalyticsDeps,
  kind: "totals" | RowKind,
  range: Range,
  bot: boolean,
): Promise<Bucket> {
  const bucket = emptyBucket();
  const parts = await Promise.all(
    partsOf(range).map((part) =>
      deps.analytics.rollups.find({ level: part.level, kind, bot, range: part.range }),
    ),
  );
  for (const document of parts.flat()) addDocument(bucket, document);
  return bucket;
}

export const rate = (part: number, whole: number): number | null =>
  whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000;

const moneys = (gross: Record<string, number>, refunded: Record<string, number>) =>
  [...new Set([...Object.keys(gross), ...Object.keys(refunded)])].sort().map((currency) => {
    const [earned, returned] = [gross[currency] ?? 0, refunded[currency] ?? 0];
    const net = earned - returned;
    return { currency, gross: earned, refunded: returned, net, amount: net };
  });

/** The numbers of a bucket as reports show them. */
export function figures({ totals, visitors, newVisitors }: Bucket) {
  const { counts } = totals;
  return {
    visitors: visitors.size,
    newVisitors: newVisitors.size,
    sessions: counts.sessions,
    bounceRate: rate(counts.bounces, counts.sessions),
    conversions: counts.conversions,
    conversionRate: rate(counts.conversions, counts.sessions),
    averageSessionSeconds: counts.sessions === 0 ? null : Math.round(counts.seconds / counts.sessions),
    events: counts.events,
    pageviews: counts.pages,
    productViews: counts.views,
    productsAdded: counts.adds,
    checkouts: counts.checkouts,
    searches: counts.searches,
    orders: counts.orders,
    confirmedOrders: counts.confirmedOrders,
    cancelledOrders: counts.cancelledOrders,
    units: counts.units,
    unitsRefunded: counts.unitsRefunded,
    revenue: moneys(totals.revenue, totals.refunded),
    unconfirmedRevenue: moneys(totals.unconfirmed, totals.unconfirmedRefunded),
  };
}

/** Where a page of a list begins: the number of rows before it. @throws AppError invalid_cursor */
export function pageOf(
  deps: AnalyticsDeps,
  list: string,
  { cursor, limit, ...filter }: { cursor?: string | undefined; limit: number; timezone: string },
) {
  const asked = JSON.parse(JSON.stringify({ list, ...filter }));
  const skip = cursor === undefined ? 0 : Number(deps.cursors.decode(cursor, asked)[0]);
  return {
    skip,
    /** @param rows how many there are in all */
    page: (rows: number) => pageEnd(deps, rows > skip + limit ? [skip + limit] : null, asked),
  };
}

/** The rows with the most in one column, ties by key. */
export function top(rows: Rows, column: number, limit: number, skip = 0): [string, number[]][] {
  return [...rows]
    .sort(([a, x], [b, y]) => (y[column] ?? 0) - (x[column] ?? 0) || (a < b ? -1 : 1))
    .slice(skip, skip + limit);
}

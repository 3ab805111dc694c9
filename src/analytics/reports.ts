import type { Deps } from "../deps";
import { after, DAY } from "../lib/clock";
import { AppError } from "../lib/errors";
import type { RollupDocument } from "./model";
import { intervalsOf, resolvePeriod } from "./period";
import type {
  CategoriesReport,
  FunnelReport,
  OverviewReport,
  PeriodQuery,
  ProductsReport,
  RetentionReport,
  SearchesReport,
  SearchTrail,
  SeriesReport,
  SourcesReport,
  TopQuery,
} from "./reports.schema";
import {
  addDocument,
  addRow,
  type Bucket,
  COLUMNS,
  emptyBucket,
  follow,
  type RowKind,
  type Rows,
} from "./rollups";
import { byTime } from "./sessions";
import { freshen } from "./settle";
import type { Range } from "./store";

/** What every report begins with: its period, and what came in counted. */
async function begin(deps: Deps, query: PeriodQuery & { interval?: SeriesReport["interval"] }) {
  const range = resolvePeriod(query, deps.clock.now());
  const complete = await freshen(deps);
  const period = { from: range.from.toISOString(), to: range.to.toISOString(), timezone: query.timezone };
  return { range, bot: query.traffic === "bots", head: { period, traffic: query.traffic, complete } };
}

type Part = { level: "quarter" | "day"; range: Range };

/** A period as whole days of UTC where it can be, and quarters of an hour at its edges. */
export function partsOf({ from, to }: Range): Part[] {
  const firstDay = new Date(Math.ceil(from.getTime() / DAY) * DAY);
  const lastDay = new Date(Math.floor(to.getTime() / DAY) * DAY);
  if (firstDay >= lastDay) return [{ level: "quarter", range: { from, to } }];
  const parts: Part[] = [
    { level: "quarter", range: { from, to: firstDay } },
    { level: "day", range: { from: firstDay, to: lastDay } },
    { level: "quarter", range: { from: lastDay, to } },
  ];
  return parts.filter(({ range }) => range.from < range.to);
}

/** The rollups of one kind in a period, added up. */
async function sumOf(deps: Deps, kind: "totals" | RowKind, range: Range, bot: boolean): Promise<Bucket> {
  const bucket = emptyBucket();
  const parts = await Promise.all(
    partsOf(range).map((part) => deps.analytics.rollups({ level: part.level, kind, bot, range: part.range })),
  );
  for (const document of parts.flat()) addDocument(bucket, document);
  return bucket;
}

const rate = (part: number, whole: number): number | null =>
  whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000;

const moneys = (revenue: Record<string, number>) =>
  Object.entries(revenue)
    .map(([currency, amount]) => ({ amount, currency }))
    .sort((a, b) => (a.currency < b.currency ? -1 : 1));

/** The numbers of a bucket as reports show them. */
function figures({ totals: { counts, revenue }, seen, fresh }: Bucket) {
  return {
    visitors: seen.size,
    newVisitors: fresh.size,
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
    revenue: moneys(revenue),
  };
}

/** Visitors, sessions, bounces and conversion of a period, and the bots apart. */
export async function overviewReport(deps: Deps, query: PeriodQuery): Promise<OverviewReport> {
  const { range, bot, head } = await begin(deps, query);
  const [asked, bots] = await Promise.all([
    sumOf(deps, "totals", range, bot),
    sumOf(deps, "totals", range, true),
  ]);
  return {
    ...head,
    ...figures(asked),
    bots: {
      visitors: bots.seen.size,
      sessions: bots.totals.counts.sessions,
      events: bots.totals.counts.events,
    },
  };
}

/** The same numbers for each hour, day, week or month of the zone; intervals without events are there too. */
export async function seriesReport(
  deps: Deps,
  query: PeriodQuery & { interval: SeriesReport["interval"] },
): Promise<SeriesReport> {
  const { range, bot, head } = await begin(deps, query);
  const intervals = intervalsOf(range, query.timezone, query.interval);
  const buckets = intervals.map(emptyBucket);
  const documents = await deps.analytics.rollups({ level: "quarter", kind: "totals", bot, range });
  documents.sort((a, b) => a.at.getTime() - b.at.getTime());
  let index = 0;
  for (const document of documents) {
    while (document.at >= (intervals[index]?.to ?? document.at) && index < intervals.length - 1) index++;
    const bucket = buckets[index];
    if (bucket) addDocument(bucket, document);
  }
  return {
    ...head,
    interval: query.interval,
    points: intervals.map(({ from, to }, at) => ({
      start: from.toISOString(),
      end: to.toISOString(),
      ...figures(buckets[at] ?? emptyBucket()),
    })),
  };
}

/** The rows with the most in one column, ties by key. */
function top(rows: Rows, column: number, limit: number): [string, number[]][] {
  return [...rows]
    .sort(([a, x], [b, y]) => (y[column] ?? 0) - (x[column] ?? 0) || (a < b ? -1 : 1))
    .slice(0, limit);
}

/** The products that were viewed, added or ordered most, with their names where the catalogue has them. */
export async function productsReport(
  deps: Deps,
  query: PeriodQuery & TopQuery & { sort: (typeof COLUMNS.products)[number] },
): Promise<ProductsReport> {
  const { range, bot, head } = await begin(deps, query);
  const { rows } = await sumOf(deps, "products", range, bot);
  const best = top(rows.products, COLUMNS.products.indexOf(query.sort), query.limit);
  const names = await deps.analytics.productNames(best.map(([id]) => id));
  return {
    ...head,
    products: best.map(([id, [views = 0, clicks = 0, adds = 0, orders = 0, quantity = 0]]) => ({
      id,
      name: names.get(id) ?? null,
      views,
      clicks,
      adds,
      orders,
      quantity,
      addRate: rate(adds, views),
      orderRate: rate(orders, views),
    })),
  };
}

/** The categories that were viewed, added from or ordered from most. */
export async function categoriesReport(
  deps: Deps,
  query: PeriodQuery & TopQuery & { sort: (typeof COLUMNS.categories)[number] },
): Promise<CategoriesReport> {
  const { range, bot, head } = await begin(deps, query);
  const { rows } = await sumOf(deps, "categories", range, bot);
  const best = top(rows.categories, COLUMNS.categories.indexOf(query.sort), query.limit);
  return {
    ...head,
    categories: best.map(([key, [views = 0, adds = 0, orders = 0]]) => ({
      category: key,
      views,
      adds,
      orders,
    })),
  };
}

/** How many sessions viewed a product, then added one, then ordered, in this order. */
export async function funnelReport(deps: Deps, query: PeriodQuery): Promise<FunnelReport> {
  const { range, bot, head } = await begin(deps, query);
  const { counts } = (await sumOf(deps, "totals", range, bot)).totals;
  const steps = (["viewed", "added", "ordered"] as const).map((name, index, names) => {
    const before = names[index - 1];
    const of = before === undefined ? counts.sessions : counts[before];
    return { step: name, sessions: counts[name], rate: rate(counts[name], of), dropped: of - counts[name] };
  });
  return { ...head, sessions: counts.sessions, steps, conversionRate: rate(counts.ordered, counts.viewed) };
}

function toSearch([
  query,
  [searches = 0, withoutResult = 0, clicked = 0, clicks = 0, clickMs = 0, ordered = 0],
]: [string, number[]]) {
  return {
    query,
    searches,
    withoutResult,
    clicked,
    clicks,
    clickThroughRate: rate(clicked, searches),
    averageSecondsToClick: clicked === 0 ? null : Math.round(clickMs / clicked) / 1000,
    ordered,
  };
}

/** What was searched for: the most frequent, those without result, and whether a click and an order followed. */
export async function searchesReport(deps: Deps, query: PeriodQuery & TopQuery): Promise<SearchesReport> {
  const { range, bot, head } = await begin(deps, query);
  const rows = (await sumOf(deps, "searches", range, bot)).rows.searches;
  const all: Rows = new Map();
  for (const values of rows.values()) addRow(all, "", values);
  const { query: _, ...total } = toSearch(["", all.get("") ?? []]);
  const failed = top(rows, COLUMNS.searches.indexOf("withoutResult"), query.limit);
  return {
    ...head,
    total,
    top: top(rows, 0, query.limit).map(toSearch),
    withoutResult: failed.filter(([, row]) => (row[1] ?? 0) > 0).map(toSearch),
  };
}

/** One search followed for a day to its clicks and to an order. @throws AppError not_found */
export async function searchTrail(deps: Deps, searchId: string): Promise<SearchTrail> {
  await freshen(deps);
  const search = await deps.analytics.findSearch(searchId);
  if (!search) throw new AppError("not_found", "No search with this id was recorded.");
  const range = { from: search.at, to: after(search.at, 1) };
  const followed = await follow(deps, [searchId], { range, bot: search.bot });
  const clicks = [...followed.clicks.values()].flat().sort(byTime).slice(0, 100);
  return {
    searchId,
    query: search.query ?? "",
    at: search.at.toISOString(),
    results: search.results,
    bot: search.bot,
    clicks: clicks.map((click) => ({
      at: click.at.toISOString(),
      productId: click.products[0]?.id ?? null,
      position: click.position,
      secondsAfter: (click.at.getTime() - search.at.getTime()) / 1000,
    })),
    ordered: followed.ordered.size > 0,
  };
}

/** Weeks that a cohort is followed. */
const WEEKS = 12;

/**
 * By week of a visitor's first session: how many came, and how many of them came again in each week after.
 * Weeks begin on Monday in the zone; one that the period cuts counts as far as it is in it.
 */
export async function retentionReport(deps: Deps, query: PeriodQuery): Promise<RetentionReport> {
  const { range, bot, head } = await begin(deps, query);
  const weeks = intervalsOf(range, query.timezone, "week");
  const buckets = await weekBuckets(deps, weeks, range, bot);
  return {
    ...head,
    cohorts: weeks.map(({ from }, index) => {
      const cohort = buckets[index]?.fresh ?? new Set();
      const returned = buckets
        .slice(index, index + WEEKS + 1)
        .map(({ seen }, offset) => (offset === 0 ? cohort.size : cohort.intersection(seen).size));
      return {
        week: from.toISOString(),
        visitors: cohort.size,
        returned,
        rates: returned.map((count) => rate(count, cohort.size)),
      };
    }),
  };
}

/** Each week's visitors: days of UTC where they lie in the week, quarters where the zone cuts a day. */
async function weekBuckets(deps: Deps, weeks: Range[], range: Range, bot: boolean): Promise<Bucket[]> {
  const buckets = weeks.map(emptyBucket);
  const add = (document: RollupDocument) => {
    const index = weeks.findIndex(({ from, to }) => document.at >= from && document.at < to);
    const bucket = buckets[index];
    if (bucket) addDocument(bucket, document);
  };
  const parts = weeks.flatMap(partsOf);
  const days = await deps.analytics.rollups({ level: "day", kind: "totals", bot, range });
  const whole = parts.filter(({ level }) => level === "day");
  const inWhole = ({ at }: RollupDocument) =>
    whole.some((part) => at >= part.range.from && at < part.range.to);
  days.filter(inWhole).forEach(add);
  const edges = parts.filter(({ level }) => level === "quarter");
  for (const documents of await Promise.all(
    edges.map((part) => deps.analytics.rollups({ level: "quarter", kind: "totals", bot, range: part.range })),
  )) {
    documents.forEach(add);
  }
  return buckets;
}

/** Where sessions came from. */
export async function sourcesReport(deps: Deps, query: PeriodQuery & TopQuery): Promise<SourcesReport> {
  const { range, bot, head } = await begin(deps, query);
  const { rows } = await sumOf(deps, "sources", range, bot);
  return {
    ...head,
    sources: top(rows.sources, 0, query.limit).map(
      ([source, [sessions = 0, bounces = 0, conversions = 0, newVisitors = 0]]) => ({
        source,
        sessions,
        newVisitors,
        bounceRate: rate(bounces, sessions),
        conversions,
        conversionRate: rate(conversions, sessions),
      }),
    ),
  };
}

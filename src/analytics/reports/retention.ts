import type { AnalyticsDeps } from "../deps";
import type { Range, RollupDocument } from "../model";
import { type Bucket, emptyBucket } from "../rollups/buckets";
import { addDocument } from "../rollups/documents";
import { begin, partsOf, rate } from "./figures";
import { intervalsOf } from "./period";
import type { PeriodQuery, RetentionReport } from "./schema";

/** Weeks that a cohort is followed. */
const WEEKS = 12;

/**
 * By week of a visitor's first session: how many came, and how many of them came again in each week after.
 * Weeks begin on Monday in the zone; one that the period cuts counts as far as it is in it.
 */
export async function retentionReport(deps: AnalyticsDeps, query: PeriodQuery): Promise<RetentionReport> {
  const { range, bot, head } = await begin(deps, query);
  const weeks = intervalsOf(range, query.timezone, "week");
  const buckets = await weekBuckets(deps, weeks, range, bot);
  return {
    ...head,
    cohorts: weeks.map(({ from }, index) => {
      const cohort = buckets[index]?.newVisitors ?? new Set();
      const returned = buckets
        .slice(index, index + WEEKS + 1)
        .map(({ visitors }, offset) => (offset === 0 ? cohort.size : cohort.intersection(visitors).size));
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
async function weekBuckets(
  deps: AnalyticsDeps,
  weeks: Range[],
  range: Range,
  bot: boolean,
): Promise<Bucket[]> {
  const buckets = weeks.map(emptyBucket);
  const add = (document: RollupDocument) => {
    const index = weeks.findIndex(({ from, to }) => document.at >= from && document.at < to);
    const bucket = buckets[index];
    if (bucket) addDocument(bucket, document);
  };
  const parts = weeks.flatMap(partsOf);
  const days = await deps.analytics.rollups.find({ level: "day", kind: "totals", bot, range });
  const whole = parts.filter(({ level }) => level === "day");
  const inWhole = ({ at }: RollupDocument) =>
    whole.some((part) => at >= part.range.from && at < part.range.to);
  days.filter(inWhole).forEach(add);
  const edges = parts.filter(({ level }) => level === "quarterHour");
  for (const documents of await Promise.all(
    edges.map((part) =>
      deps.analytics.rollups.find({ level: "quarterHour", kind: "totals", bot, range: part.range }),
    ),
  )) {
    documents.forEach(add);
  }
  return buckets;
}

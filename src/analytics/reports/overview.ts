import type { AnalyticsDeps } from "../deps";
import { emptyBucket } from "../rollups/buckets";
import { addDocument } from "../rollups/documents";
import { begin, figures, sumOf } from "./figures";
import { intervalsOf } from "./period";
import type { OverviewReport, PeriodQuery, SeriesReport } from "./schema";

/** Visitors, sessions, bounces and conversion of a period, and the bots apart. */
export async function overviewReport(deps: AnalyticsDeps, query: PeriodQuery): Promise<OverviewReport> {
  const { range, bot, head } = await begin(deps, query);
  const ofBots = sumOf(deps, "totals", range, true);
  const [asked, bots] = await Promise.all([bot ? ofBots : sumOf(deps, "totals", range, bot), ofBots]);
  return {
    ...head,
    ...figures(asked),
    bots: {
      visitors: bots.visitors.size,
      sessions: bots.totals.counts.sessions,
      events: bots.totals.counts.events,
    },
  };
}

/** The same numbers for each hour, day, week or month of the zone; intervals without events are there too. */
export async function seriesReport(
  deps: AnalyticsDeps,
  query: PeriodQuery & { interval: SeriesReport["interval"] },
): Promise<SeriesReport> {
  const { range, bot, head } = await begin(deps, query);
  const intervals = intervalsOf(range, query.timezone, query.interval);
  const buckets = intervals.map(emptyBucket);
  const documents = await deps.analytics.rollups.find({ level: "quarterHour", kind: "totals", bot, range });
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

import { after } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { AnalyticsDeps } from "../deps";
import { addRow, COLUMNS, type Rows } from "../rollups/buckets";
import { follow } from "../rollups/follow";
import { byTime } from "../sessions/sessionise";
import { settleForReader } from "../settle";
import { begin, pageOf, rate, sumOf, top } from "./figures";
import type { PeriodQuery, SearchesReport, SearchTrail, TopQuery } from "./schema";

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
export async function searchesReport(
  deps: AnalyticsDeps,
  query: PeriodQuery & TopQuery,
): Promise<SearchesReport> {
  const { range, bot, head } = await begin(deps, query);
  const rows = (await sumOf(deps, "searches", range, bot)).rows.searches;
  const all: Rows = new Map();
  for (const values of rows.values()) addRow(all, "", values);
  const { query: _, ...total } = toSearch(["", all.get("") ?? []]);
  const { skip, page } = pageOf(deps, "searches", query);
  const failed = top(rows, COLUMNS.searches.indexOf("withoutResult"), query.limit, skip);
  return {
    ...head,
    page: page(rows.size),
    total,
    top: top(rows, 0, query.limit, skip).map(toSearch),
    withoutResult: failed.filter(([, row]) => (row[1] ?? 0) > 0).map(toSearch),
  };
}

/** One search followed for a day to its clicks and to an order. @throws AppError not_found */
export async function searchTrail(deps: AnalyticsDeps, searchId: string): Promise<SearchTrail> {
  await settleForReader(deps);
  const search = await deps.analytics.searches.find(searchId);
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

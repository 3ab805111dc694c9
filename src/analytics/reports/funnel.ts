import type { AnalyticsDeps } from "../deps";
import { begin, rate, sumOf } from "./figures";
import type { FunnelReport, PeriodQuery } from "./schema";

/** How many sessions viewed a product, then added one, then ordered, in this order. */
export async function funnelReport(deps: AnalyticsDeps, query: PeriodQuery): Promise<FunnelReport> {
  const { range, bot, head } = await begin(deps, query);
  const { counts } = (await sumOf(deps, "totals", range, bot)).totals;
  const steps = (["viewed", "added", "ordered"] as const).map((name, index, names) => {
    const before = names[index - 1];
    const of = before === undefined ? counts.sessions : counts[before];
    return { step: name, sessions: counts[name], rate: rate(counts[name], of), dropped: of - counts[name] };
  });
  return { ...head, sessions: counts.sessions, steps, conversionRate: rate(counts.ordered, counts.viewed) };
}

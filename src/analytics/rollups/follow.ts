import type { MongoTx } from "../../db/mongo";
import { after, DAY } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import type { Range } from "../model";
import type { FollowUp } from "../searches.store";
import { byTime, type Ordered } from "../sessions/sessionise";
import type { Followed } from "./buckets";

/** How long after a click an order of what was clicked counts for its search. */
export const ORDER_WINDOW = DAY;
/** How long after a search an event with its id follows it: an id that is used for good joins no months. */
const FOLLOW_WINDOW = DAY;

/**
 * The search that an event follows, or takes the followers of if it is one itself: the last other one by then, within a
 * day.
 * @param searches those with the event's id, sorted by time
 */
export function searchBefore<Search extends Ordered>(searches: Search[], event: Ordered): Search | undefined {
  let [low, high] = [0, searches.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const search = searches[middle];
    if (search && byTime(search, event) <= 0) low = middle + 1;
    else high = middle;
  }
  const last = searches[low - 1];
  const search = last?._id === event._id ? searches[low - 2] : last;
  return search && event.at.getTime() - search.at.getTime() <= FOLLOW_WINDOW ? search : undefined;
}

/** What is read of a search. */
export type SearchEvent = Ordered & Pick<FollowUp, "bot" | "searchId">;

/** The searches that events may follow, by whether bots made them and their id, sorted by time. */
export async function searchesOf(
  deps: AnalyticsDeps,
  ids: string[],
  { from, to }: Range,
  tx?: MongoTx,
): Promise<Map<string, SearchEvent[]>> {
  const range = { from: after(from, -FOLLOW_WINDOW), to };
  return Map.groupBy((await deps.analytics.searches.withIds(ids, range, tx)).sort(byTime), searchLine);
}

/** What a search and what follows it have in common. */
export const searchLine = ({ searchId, bot }: Pick<FollowUp, "searchId" | "bot">) => `${bot} ${searchId}`;

/**
 * What followed searches within a day. A search that was told again (a page that was loaded anew) has several
 * events: what follows belongs to the last one before it, so that nothing counts twice. A bot on a person's
 * link, or the other way round, followed nothing.
 * @param ids search ids
 * @param range when the searches happened
 * @param bot whose searches; of both when it is not given
 */
export async function follow(
  deps: AnalyticsDeps,
  ids: string[],
  { range, bot, tx }: { range: Range; bot?: boolean; tx?: MongoTx | undefined },
): Promise<Followed> {
  const clicks: Followed["clicks"] = new Map();
  if (ids.length === 0) return { clicks, ordered: new Set() };
  const following = { from: range.from, to: after(range.to, FOLLOW_WINDOW) };
  const searches = await searchesOf(deps, ids, following, tx);
  if (bot !== undefined) for (const searchId of ids) searches.delete(searchLine({ searchId, bot: !bot }));
  const followUps = (await deps.analytics.searches.followUps(ids, following, tx)).flatMap((followUp) => {
    const search = searchBefore(searches.get(searchLine(followUp)) ?? [], followUp);
    return search === undefined ? [] : [{ ...followUp, search: search._id }];
  });
  for (const followUp of followUps) {
    if (followUp.kind !== "click") continue;
    const own = clicks.get(followUp.search);
    if (own) own.push(followUp);
    else clicks.set(followUp.search, [followUp]);
  }
  return { clicks, ordered: await orderedSearches(deps, followUps, tx) };
}

/** Searches whose clicked, viewed or added things their visitor ordered within a day after. */
async function orderedSearches(
  deps: AnalyticsDeps,
  followUps: (FollowUp & { search: string })[],
  tx?: MongoTx,
): Promise<Set<string>> {
  const ordered = new Set<string>();
  if (followUps.length === 0) return ordered;
  const times = followUps.map(({ at }) => at.getTime());
  const range: Range = {
    from: new Date(times.reduce((a, b) => Math.min(a, b))),
    to: new Date(times.reduce((a, b) => Math.max(a, b)) + ORDER_WINDOW + 1),
  };
  const visitors = [...new Set(followUps.map(({ visitor }) => visitor))];
  const orders = Map.groupBy(
    await deps.analytics.searches.visitorEvents(visitors, ["order"], range, tx),
    ({ visitor }) => visitor,
  );
  for (const followUp of followUps) {
    const wanted = new Set(followUp.products.map(({ id }) => id));
    const bought = orders
      .get(followUp.visitor)
      ?.some(
        (order) =>
          byTime(order, followUp) > 0 &&
          order.at.getTime() - followUp.at.getTime() <= ORDER_WINDOW &&
          order.products.some(({ id }) => wanted.has(id)),
      );
    if (bought) ordered.add(followUp.search);
  }
  return ordered;
}

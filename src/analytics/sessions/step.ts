import { mutate } from "../../audit";
import { type MongoTx, tookTooLong } from "../../db/mongo";
import { isUnavailable } from "../../db/unavailable";
import { after, DAY, midnightBefore } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { AnalyticsDeps } from "../deps";
import { identityTimes, learnDevices } from "../identity";
import { keptSince } from "../intake/time";
import type { EventDocument, Range } from "../model";
import type { PendingEvent, SessionEvent } from "../queue.store";
import { type Recounted, recountOrders } from "../recount";
import { quarterHourOf } from "../rollups/buckets";
import { ORDER_WINDOW, type SearchEvent, searchBefore, searchesOf, searchLine } from "../rollups/follow";
import { type Spans, widen } from "./around";
import { type Attributed, attributeDevices, remakeSessions } from "./remake";

/** So few events are settled well within a transaction's limit on any machine. */
const FEW = 100;

/** Events by the day of UTC that they happened on: its range, and those of the day. */
const byDay = <Event extends { at: Date }>(events: Event[]): { range: Range; own: Event[] }[] =>
  [...Map.groupBy(events, ({ at }) => midnightBefore(at.getTime()))].map(([day, own]) => ({
    range: { from: new Date(day), to: new Date(day + DAY) },
    own,
  }));

/** When the searches happened that these events may count for. */
async function searchesBehind(
  deps: AnalyticsDeps,
  events: (SearchEvent & Pick<EventDocument, "kind" | "visitor">)[],
  tx: MongoTx,
): Promise<Date[]> {
  const following: SearchEvent[] = [...events];
  for (const { range, own } of byDay(events.filter(({ kind }) => kind === "order"))) {
    // Marking a search too many costs a recomputation, so all these visitors are looked at over the whole range.
    const visitors = [...new Set(own.map(({ visitor }) => visitor))];
    const before = { from: after(range.from, -ORDER_WINDOW), to: range.to };
    for (const event of await deps.analytics.searches.followedBy(visitors, before, tx)) following.push(event);
  }
  const times = new Map<string, Date>();
  for (const { range, own } of byDay(following.filter(({ searchId }) => searchId !== null))) {
    const ids = [...new Set(own.flatMap(({ searchId }) => (searchId === null ? [] : [searchId])))];
    const searches = await searchesOf(deps, ids, range, tx);
    for (const event of own) {
      const search = searchBefore(searches.get(searchLine(event)) ?? [], event);
      if (search) times.set(search._id, search.at);
    }
  }
  return [...times.values()];
}

/** Marks the quarters of times. Those whose events are no longer kept stay as they were counted. */
export async function markQuarterHours(
  deps: AnalyticsDeps,
  times: Date[],
  token: string,
  tx: MongoTx,
): Promise<void> {
  const kept = keptSince(deps.clock.now());
  const quarters = [
    ...new Set(times.filter((time) => time >= kept).map((time) => quarterHourOf(time).getTime())),
  ];
  quarters.sort((a, b) => a - b);
  await deps.analytics.rollups.mark(
    "quarterHour",
    quarters.map((time) => new Date(time)),
    token,
    tx,
  );
}

/** Has the sessions of orders that changed made anew, from events as they are now. */
function spread({ affected, devices }: Attributed, recounted: Recounted[]): void {
  const parts = new Map(recounted.map(({ _id, order }) => [_id, order]));
  for (const { visitor, at } of recounted) widen(affected, visitor, at);
  if (parts.size === 0) return;
  for (const event of [...devices.values()].flatMap(({ events }) => events)) {
    const order = parts.get(event._id);
    if (order) event.order = order;
  }
}

/**
 * Gives events their visitors and sessions, and marks the buckets that change.
 * @param anew even where nothing may have changed: what is stored just so is left alone then
 * @param before those of them that changed already, as they were
 * @returns how many events were read to do so
 */
export async function remakeAround(
  deps: AnalyticsDeps,
  events: PendingEvent[],
  { anew, before = [], token }: { anew: boolean; before?: PendingEvent[]; token: string },
  tx: MongoTx,
): Promise<number> {
  // What was a person's may have named whose the others on its device are.
  const attributed = await attributeDevices(deps, [...events, ...before], { anew }, tx);
  for (const { visitor, at } of before) {
    widen(attributed.affected, visitor, at);
    attributed.left.add(visitor);
  }
  const recounted = await recountOrders(deps, [...events, ...attributed.moved], tx);
  spread(attributed, recounted);
  const { touched, read } = await remakeSessions(deps, attributed, tx, { compare: anew });
  const changed = await learnDevices(deps, events, tx);
  const isSame = touched.length + before.length + recounted.length + attributed.moved.length === 0;
  if (anew && isSame && changed.devices.length === 0) return read;
  const visitors = [...attributed.affected.keys()];
  touched.push(...(await identityTimes(deps, { visitors, changed }, tx)));
  // Who an event belongs to decides which orders its search led to.
  const searched = await searchesBehind(deps, [...events, ...attributed.moved], tx);
  const times = [...events, ...recounted].map(({ at }) => at);
  await markQuarterHours(deps, [...times, ...touched, ...searched], token, tx);
  return read;
}

/**
 * Gives up to `limit` waiting events their visitors and sessions and marks the buckets that change, in one
 * transaction: a crash leaves all of it or nothing, and two processes at once conflict on the guard. What fails
 * is done again in halves, and one event that fails alone is set aside, so that it keeps no other from its session.
 * @returns how many events were settled, and how many were read to do so
 */
export async function settleStep(
  deps: AnalyticsDeps,
  limit: number,
): Promise<{ settled: number; read: number }> {
  // Outside, so that the common case of nothing to do is one read.
  if ((await deps.analytics.queue.pending(1)).length === 0) return { settled: 0, read: 0 };
  const token = deps.random.id();
  let ids: string[] = [];
  try {
    return await mutate(deps, "mongo", {}, async (tx) => {
      ids = [];
      await deps.analytics.queue.guard(tx);
      const pending = await deps.analytics.queue.pending(limit, tx);
      ids = pending.map(({ _id }) => _id);
      const read = await remakeAround(deps, pending, { anew: false, token }, tx);
      await deps.analytics.queue.settle(ids, tx);
      return { settled: pending.length, read };
    });
  } catch (error) {
    // Others were quicker, or the database is away: that says nothing about the events. That it takes too long does,
    // and so does a step that did not get through though it held the guard.
    const saysNothing =
      error instanceof AppError ? ids.length <= FEW : isUnavailable(error) && !tookTooLong(error);
    if (saysNothing) throw error;
    const size = ids.length || limit;
    if (size > 1) {
      const half = Math.ceil(size / 2);
      const first = await settleStep(deps, half);
      const second = await settleStep(deps, limit - half);
      return { settled: first.settled + second.settled, read: Math.max(first.read, second.read) };
    }
    await deps.analytics.queue.settle(ids);
    deps.log.error({ err: error, ids }, "an event cannot get its session; it waits for a rebuild");
    return { settled: ids.length, read: 0 };
  }
}

/**
 * Removes events and what was made of them, in one transaction; the rollups follow with the next settling.
 * @param gone when all events are of one visitor who keeps none: their sessions that are over by `until` go too
 * and none is made anew, so that it costs the same however much the visitor did besides
 */
export async function settleRemoved(
  deps: AnalyticsDeps,
  events: EventDocument[],
  gone: { visitor: string; until: Date } | null = null,
): Promise<void> {
  const token = deps.random.id();
  const ids = events.map(({ _id }) => _id);
  await mutate(deps, "mongo", {}, async (tx) => {
    await deps.analytics.queue.guard(tx);
    // Since they were read, a sign-in may have given them to somebody else, whose sessions lose them then.
    const moved = new Map<string, SessionEvent>();
    for (const [visitor, own] of Map.groupBy(events, ({ visitor }) => visitor)) {
      const others = await deps.analytics.queue.eventsOfOthers(
        own.map(({ _id }) => _id),
        visitor,
        tx,
      );
      for (const event of others) moved.set(event._id, event);
    }
    const present = events.map((event) => moved.get(event._id) ?? event);
    const searched = await searchesBehind(deps, present, tx);
    await deps.analytics.events.remove(ids, tx);
    const affected: Spans = new Map();
    for (const { visitor, at } of present) if (visitor !== gone?.visitor) widen(affected, visitor, at);
    const recounted = await recountOrders(deps, present, tx);
    for (const { visitor, at } of recounted) if (visitor !== gone?.visitor) widen(affected, visitor, at);
    const left = new Set(present.filter(({ background }) => background).map(({ visitor }) => visitor));
    const { touched } = await remakeSessions(deps, { affected, left, devices: new Map(), moved: [] }, tx);
    touched.push(
      ...(await identityTimes(
        deps,
        { visitors: [...affected.keys()], changed: { devices: [], owners: [] } },
        tx,
      )),
    );
    const over = gone ? await deps.analytics.sessions.removeOf(gone.visitor, gone.until, tx) : [];
    await markQuarterHours(
      deps,
      [...[...events, ...recounted].map(({ at }) => at), ...touched, ...over, ...searched],
      token,
      tx,
    );
  });
}

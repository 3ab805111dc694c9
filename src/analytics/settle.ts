import { type MongoTx, tookTooLong } from "../db/mongo";
import { isUnavailable } from "../db/unavailable";
import type { Deps } from "../deps";
import { after, DAY, HOUR } from "../lib/clock";
import { AppError } from "../lib/errors";
import { isBot, visitorOf } from "./ingest";
import type { EventDocument, SessionDocument } from "./model";
import { ORDER_WINDOW, quarterOf, searchBefore, searchesOf, searchLine, settleRollups } from "./rollups";
import { attribute, byTime, midnightBefore, SESSION_GAP, type SessionEvent, sessionise } from "./sessions";
import type { PendingEvent, Range } from "./store";
import { keptSince } from "./time";

/** Events that get their session in one transaction, at most. */
const STEP = 10_000;
/** Events that one transaction should read around them, so that memory stays bounded when visits are very long. */
const MAX_READ = 150_000;
/** Keys that are read in one query. */
const KEYS = 500;
/** First and last time of something, in milliseconds; both are in it. */
interface Span {
  low: number;
  high: number;
}

/** Spans by device or visitor. */
type Spans = Map<string, Span>;

const widen = (spans: Spans, key: string, low: Date, high: Date = low): void => {
  const span = spans.get(key);
  if (!span) {
    spans.set(key, { low: low.getTime(), high: high.getTime() });
    return;
  }
  span.low = Math.min(span.low, low.getTime());
  span.high = Math.max(span.high, high.getTime());
};

/** The earliest time that is reached from `from` going back over events without a pause. `times` ascends. */
const reachBack = (times: number[], from: number): number => {
  let reached = from;
  for (let index = times.length - 1; index >= 0; index--) {
    const time = times[index] ?? 0;
    if (time > reached) continue;
    if (reached - time > SESSION_GAP) break;
    reached = time;
  }
  return reached;
};

const reachForth = (times: number[], from: number): number => {
  let reached = from;
  for (const time of times) {
    if (time < reached) continue;
    if (time - reached > SESSION_GAP) break;
    reached = time;
  }
  return reached;
};

/** What lies around the span of a key. */
interface Around {
  /** Sorted by time; before the span, what says that a visit ends where it begins. */
  events: SessionEvent[];
  /** True when there are pauses on both sides, false when midnights end visits that went on without one. */
  paused: boolean;
}

/** Keys in parts that are read in one query: not too many, and of about one time. */
function partsOf(spans: Spans): [string, Span][][] {
  const parts: [string, Span][][] = [];
  let from = 0;
  for (const entry of [...spans].sort(([, a], [, b]) => a.low - b.low)) {
    const part = parts.at(-1);
    const [, { low, high }] = entry;
    if (part !== undefined && part.length < KEYS && high - from <= DAY) part.push(entry);
    else {
      parts.push([entry]);
      from = low;
    }
  }
  return parts;
}

/**
 * Every event of each key from its span, which is widened, on to both sides up to where a visit ends whatever changed
 * in the span, sorted by time. What lies around new events is mostly near, so many keys are read in one query, and only
 * a key whose events reach the edge of what was read is read further.
 */
async function eventsAround(
  deps: Deps,
  field: "device" | "visitor",
  spans: Spans,
  tx: MongoTx,
): Promise<Map<string, Around>> {
  const around = new Map<string, Around>();
  for (const part of partsOf(spans)) {
    const from = Math.min(...part.map(([, { low }]) => low)) - 2 * SESSION_GAP;
    const to = Math.max(...part.map(([, { high }]) => high)) + 2 * SESSION_GAP;
    const read = async (key: string[], low: number, high: number) => {
      const range = { from: new Date(low), to: new Date(high) };
      return (await deps.analytics.eventsOf(field, key, range, tx)).sort(byTime);
    };
    const keys = part.map(([key]) => key);
    const loaded = Map.groupBy(await read(keys, from, to), (event) => event[field] ?? "");
    for (const [key, span] of part) {
      let events = loaded.get(key) ?? [];
      let [began, ended] = [false, false];
      const times = () => events.map(({ at }) => at.getTime());
      const midnight = midnightBefore(span.low);
      for (let edge = from, step = HOUR; ; step *= 2) {
        const reached = reachBack(times(), span.low);
        began = midnight - reached >= DAY;
        if (began || reached - SESSION_GAP >= edge) {
          span.low = began ? midnight : reached;
          break;
        }
        events = [...(await read([key], edge - step, edge)), ...events];
        edge -= step;
      }
      // A change ends or joins visits at midnights of the day after it. Without a pause, the next one ends them anyway.
      const end = midnightBefore(span.high + SESSION_GAP + DAY) + DAY;
      for (let edge = to, step = HOUR; ; step *= 2) {
        const reached = reachForth(times(), span.high);
        ended = reached >= end;
        if (ended || reached + SESSION_GAP < edge) {
          span.high = ended ? end - 1 : reached;
          break;
        }
        events = [...events, ...(await read([key], edge, edge + step))];
        edge += step;
      }
      const { low, high } = span;
      around.set(key, {
        events: events.filter(({ at }) => at.getTime() <= high && (began || at.getTime() >= low)),
        paused: !began && !ended,
      });
    }
  }
  return around;
}

/** What `attributeDevices` found out. */
interface Attributed {
  /** The spans of every visitor who gained or lost events. */
  affected: Spans;
  /** Of devices that were looked at: all their events of a span with nothing near it outside. */
  devices: Map<string, { span: Span; events: SessionEvent[] }>;
  /** Events that have another visitor than before: each as it is now and as it was. */
  moved: SessionEvent[];
}

/** Gives the events of devices their visitors. */
async function attributeDevices(deps: Deps, pending: PendingEvent[], tx: MongoTx): Promise<Attributed> {
  const spans: Spans = new Map();
  const affected: Spans = new Map();
  const devices: Attributed["devices"] = new Map();
  for (const event of pending) {
    if (event.device !== null && !event.bot) widen(spans, event.device, event.at);
    else widen(affected, event.visitor, event.at);
  }
  const moved: SessionEvent[] = [];
  const before: SessionEvent[] = [];
  for (const [device, { events, paused }] of await eventsAround(deps, "device", spans, tx)) {
    const span = spans.get(device);
    if (!span) continue;
    const visitors = attribute(events);
    events.forEach((event, index) => {
      if (event.at.getTime() < span.low) return;
      const visitor = visitors[index] ?? event.visitor;
      if (event.todo === 1 || visitor !== event.visitor) widen(affected, visitor, event.at);
      if (visitor === event.visitor) return;
      // An event that waits may have a session too, when it was reopened.
      widen(affected, event.visitor, event.at);
      before.push({ ...event });
      event.visitor = visitor;
      moved.push(event);
    });
    if (paused) devices.set(device, { span, events });
  }
  for (const [visitor, events] of Map.groupBy(moved, ({ visitor }) => visitor)) {
    await deps.analytics.setVisitor(
      events.map(({ _id }) => _id),
      visitor,
      tx,
    );
  }
  return { affected, devices, moved: [...moved, ...before] };
}

/** The events of visitors around their spans. Those of a nameless device were read already as the device's. */
async function visitorEventsAround(
  deps: Deps,
  { affected, devices }: Attributed,
  tx: MongoTx,
): Promise<Map<string, SessionEvent[]>> {
  const known = new Map<string, SessionEvent[]>();
  const others: Spans = new Map();
  for (const [visitor, span] of affected) {
    const device = visitor.startsWith("d:") ? devices.get(visitor.slice(2)) : undefined;
    if (device && device.span.low <= span.low && device.span.high >= span.high) {
      Object.assign(span, device.span);
      known.set(
        visitor,
        device.events.filter((event) => event.visitor === visitor),
      );
    } else others.set(visitor, span);
  }
  for (const [visitor, { events }] of await eventsAround(deps, "visitor", others, tx))
    known.set(visitor, events);
  return known;
}

/**
 * Makes the sessions of visitors anew around spans in which their events changed.
 * @returns the begins of all sessions that were made, removed, or may have become a visitor's first, and how
 * many events they were made from
 */
async function remakeSessions(
  deps: Deps,
  attributed: Attributed,
  tx: MongoTx,
): Promise<{ touched: Date[]; read: number }> {
  const { affected } = attributed;
  const visitors = [...affected.keys()];
  const sessions = new Map<string, Pick<SessionDocument, "_id" | "visitor" | "start" | "end">[]>();
  for (let index = 0; index < visitors.length; index += KEYS) {
    const part = await deps.analytics.sessionsOf(visitors.slice(index, index + KEYS), tx);
    for (const [visitor, own] of Map.groupBy(part, ({ visitor }) => visitor)) sessions.set(visitor, own);
  }
  for (const [visitor, span] of affected) {
    const { low, high } = span;
    // A session that loses an event may fall apart, so all of it is looked at.
    for (const { start, end } of sessions.get(visitor) ?? []) {
      if (start.getTime() <= high + SESSION_GAP && end.getTime() >= low - SESSION_GAP) {
        widen(affected, visitor, start, end);
      }
    }
  }
  const events = await visitorEventsAround(deps, attributed, tx);
  const removed: string[] = [];
  const made: SessionDocument[] = [];
  const touched: Date[] = [];
  for (const [visitor, span] of affected) {
    const fresh = sessionise(visitor, events.get(visitor) ?? []).filter(
      ({ start }) => start.getTime() >= span.low,
    );
    const ids = new Set(fresh.map(({ _id }) => _id));
    for (const session of fresh) {
      made.push(session);
      touched.push(session.start);
    }
    let next: Date | undefined;
    for (const { _id, start } of sessions.get(visitor) ?? []) {
      const time = start.getTime();
      if (time >= span.low && time <= span.high && !ids.has(_id)) {
        removed.push(_id);
        touched.push(start);
      } else if (time > span.high && (next === undefined || start < next)) next = start;
    }
    if (next !== undefined) touched.push(next);
  }
  await deps.analytics.replaceSessions(removed, made, tx);
  const read = [...events.values()].reduce((sum, own) => sum + own.length, 0);
  return { touched, read };
}

/** Events by the day of UTC that they happened on: its range, and those of the day. */
const byDay = <Event extends { at: Date }>(events: Event[]): { range: Range; own: Event[] }[] =>
  [...Map.groupBy(events, ({ at }) => midnightBefore(at.getTime()))].map(([day, own]) => ({
    range: { from: new Date(day), to: new Date(day + DAY) },
    own,
  }));

/** When the searches happened that these events may count for. */
async function searchesBehind(
  deps: Deps,
  events: Pick<EventDocument, "_id" | "kind" | "at" | "visitor" | "bot" | "searchId">[],
  tx: MongoTx,
): Promise<Date[]> {
  const following: Pick<EventDocument, "_id" | "at" | "bot" | "searchId">[] = [...events];
  for (const { range, own } of byDay(events.filter(({ kind }) => kind === "order"))) {
    // Marking a search too many costs a recomputation, so all these visitors are looked at over the whole range.
    const visitors = [...new Set(own.map(({ visitor }) => visitor))];
    const before = { from: after(range.from, -ORDER_WINDOW), to: range.to };
    for (const event of await deps.analytics.searchesFollowed(visitors, before, tx)) following.push(event);
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
async function markQuarters(deps: Deps, times: Date[], token: string, tx: MongoTx): Promise<void> {
  const kept = keptSince(deps.clock.now());
  const quarters = [
    ...new Set(times.filter((time) => time >= kept).map((time) => quarterOf(time).getTime())),
  ];
  quarters.sort((a, b) => a - b);
  await deps.analytics.markDirty(
    "quarter",
    quarters.map((time) => new Date(time)),
    token,
    tx,
  );
}

/**
 * Gives up to `limit` waiting events their visitors and sessions and marks the buckets that change, in one
 * transaction: a crash leaves all of it or nothing, and two processes at once conflict on the guard. What fails
 * is done again in halves, and one event that fails alone is set aside, so that it keeps no other from its session.
 * @returns how many events were settled, and how many were read to do so
 */
async function settleStep(deps: Deps, limit: number): Promise<{ settled: number; read: number }> {
  // Outside, so that the common case of nothing to do is one read.
  if ((await deps.analytics.pending(1)).length === 0) return { settled: 0, read: 0 };
  const token = deps.random.id();
  let ids: string[] = [];
  try {
    return await deps.mongo.transaction(async (tx) => {
      await deps.analytics.guard(tx);
      const pending = await deps.analytics.pending(limit, tx);
      ids = pending.map(({ _id }) => _id);
      const attributed = await attributeDevices(deps, pending, tx);
      const { touched, read } = await remakeSessions(deps, attributed, tx);
      // Who an event belongs to decides which orders its search led to.
      const searched = await searchesBehind(deps, [...pending, ...attributed.moved], tx);
      await markQuarters(deps, [...pending.map(({ at }) => at), ...touched, ...searched], token, tx);
      await deps.analytics.settle(ids, tx);
      return { settled: pending.length, read };
    });
  } catch (error) {
    // Others were quicker, or the database is away: that says nothing about the events. That it takes too long does.
    if (error instanceof AppError || (isUnavailable(error) && !tookTooLong(error))) throw error;
    if (limit > 1) {
      const half = Math.ceil(limit / 2);
      const first = await settleStep(deps, half);
      const second = await settleStep(deps, limit - half);
      return { settled: first.settled + second.settled, read: Math.max(first.read, second.read) };
    }
    await deps.analytics.settle(ids);
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
  deps: Deps,
  events: EventDocument[],
  gone: { visitor: string; until: Date } | null = null,
): Promise<void> {
  const token = deps.random.id();
  const ids = events.map(({ _id }) => _id);
  await deps.mongo.transaction(async (tx) => {
    await deps.analytics.guard(tx);
    // Since they were read, a sign-in may have given them to somebody else, whose sessions lose them then.
    const moved = new Map<string, SessionEvent>();
    for (const [visitor, own] of Map.groupBy(events, ({ visitor }) => visitor)) {
      const others = await deps.analytics.eventsOfOthers(
        own.map(({ _id }) => _id),
        visitor,
        tx,
      );
      for (const event of others) moved.set(event._id, event);
    }
    const present = events.map((event) => moved.get(event._id) ?? event);
    const searched = await searchesBehind(deps, present, tx);
    await deps.analytics.removeEvents(ids, tx);
    const affected: Spans = new Map();
    for (const { visitor, at } of present) if (visitor !== gone?.visitor) widen(affected, visitor, at);
    const { touched } = await remakeSessions(deps, { affected, devices: new Map(), moved: [] }, tx);
    const over = gone ? await deps.analytics.removeSessionsOf(gone.visitor, gone.until, tx) : [];
    await markQuarters(deps, [...events.map(({ at }) => at), ...touched, ...over, ...searched], token, tx);
  });
}

/** How long sessions and rollups each have their turn while more events wait, in milliseconds. */
const TURN = 2000;

/** Makes sessions until nothing waits, and rollups after it or between, whichever comes first. */
async function settleNow(deps: Deps, until: number, stopped: () => boolean): Promise<boolean> {
  for (let limit = STEP; ; ) {
    const turn = Math.min(until, performance.now() + TURN);
    let emptied: boolean;
    do {
      const { settled, read } = await settleStep(deps, limit);
      if (stopped()) return false;
      // Less than it may take is all that waited. Nothing at all is never found while events come in.
      emptied = settled < limit;
      limit = read > MAX_READ ? Math.ceil(limit / 2) : Math.min(STEP, limit * 2);
    } while (!emptied && performance.now() < turn);
    // Rollups have their turn also when sessions have used up the time, or a backlog would keep them for good.
    const next = performance.now() + TURN;
    const end = emptied ? Math.max(until, next) : next;
    const counted = await settleRollups(deps, {
      all: until === Number.POSITIVE_INFINITY,
      stopped: () => stopped() || performance.now() > end,
    });
    if (emptied || stopped() || performance.now() > until) return emptied && counted;
  }
}

/** The settling that runs in this process, so that callers at once share one. */
const running = new WeakMap<Deps, Promise<boolean>>();

/** What `work` gives, or false when it takes longer than `limit` milliseconds: then it goes on behind. */
async function inTime(work: Promise<boolean>, limit: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(late.resolve, limit, false);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const always = () => true;

/**
 * Brings sessions and rollups up to the events.
 * @param limit how long it should take, in milliseconds, which its last steps may exceed; by default as long as
 * it needs
 * @returns false when there is more to do
 * @throws AppError service_unavailable when other processes were quicker with it each time
 */
export async function settle(
  deps: Deps,
  { limit, stopped = () => false }: { limit?: number; stopped?: () => boolean } = {},
): Promise<boolean> {
  const until = limit === undefined ? Number.POSITIVE_INFINITY : performance.now() + limit;
  let before = running.get(deps);
  if (limit === undefined) {
    // What others of this process share ends before everything is done, so it is not joined.
    for (; before; before = running.get(deps)) await before.then(always, always);
  } else if (before && !(await inTime(before.then(always, always), limit))) return false;
  // What came in since the one before began is not in it for sure: one more after it is.
  const work = running.get(deps) ?? settleNow(deps, until, stopped).finally(() => running.delete(deps));
  running.set(deps, work);
  return work;
}

/** Other processes were quicker each time. */
const isBusy = (error: unknown): boolean => error instanceof AppError && error.code === "service_unavailable";

/**
 * Settles unless somebody does so already: for whoever comes again soon, and should not wait.
 * @param limit how long it should take, in milliseconds
 * @returns false when there is, or may be, more to do
 */
export async function settleUnlessBusy(
  deps: Deps,
  options: { limit: number; stopped: () => boolean },
): Promise<boolean> {
  if (running.has(deps)) return false;
  try {
    return await settle(deps, options);
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

/** How long a report or a list waits for what came in to be counted, in milliseconds. */
const FRESHEN = 1500;

/**
 * Brings sessions and rollups up to the events as far as a reader can wait for it; what takes longer goes on behind.
 * A failure keeps nobody from reading what was counted before.
 * @returns false when there is more to do
 */
export async function freshen(deps: Deps): Promise<boolean> {
  const work = settle(deps, { limit: FRESHEN }).catch((error) => {
    if (!isBusy(error))
      deps.log.error({ err: error }, "sessions and rollups were not brought up to the events");
    return false;
  });
  return inTime(work, FRESHEN);
}

/** Makes events wait again, with a new judgement of which of them are a bot's. */
async function reopen(
  deps: Deps,
  events: Awaited<ReturnType<Deps["analytics"]["eventsAfter"]>>,
): Promise<void> {
  const ids = events.map(({ _id }) => _id);
  const judged = events.flatMap((event) => {
    const bot = isBot(event.userAgent);
    return bot === event.bot ? [] : [{ ...event, bot, visitor: visitorOf({ ...event, bot }) }];
  });
  if (judged.length === 0) return deps.analytics.reopen(ids);
  const changed = new Set(judged.map(({ _id }) => _id));
  const token = deps.random.id();
  await deps.mongo.transaction(async (tx) => {
    await deps.analytics.guard(tx);
    await deps.analytics.reopen(ids, judged, tx);
    // What they were part of loses them now; what they become part of is found when they are settled.
    const affected: Spans = new Map();
    for (const { _id, visitor, at } of events) if (changed.has(_id)) widen(affected, visitor, at);
    const { touched } = await remakeSessions(deps, { affected, devices: new Map(), moved: [] }, tx);
    await markQuarters(deps, [...judged.map(({ at }) => at), ...touched], token, tx);
  });
}

/** Removes sessions whose visitor did nothing when they begin: none that the sessioniser made is like that. */
async function removeOrphans(deps: Deps, stopped: () => boolean): Promise<void> {
  for (let afterId = ""; !stopped(); ) {
    const sessions = await deps.analytics.sessionsAfter(afterId, KEYS);
    const last = sessions.at(-1);
    if (!last) return;
    afterId = last._id;
    const line = (visitor: string, time: Date) => `${time.getTime()} ${visitor}`;
    const events = await deps.analytics.eventsAt(sessions.map(({ start }) => start));
    const there = new Set(events.map(({ visitor, at }) => line(visitor, at)));
    const orphans = sessions.filter(({ visitor, start }) => !there.has(line(visitor, start)));
    if (orphans.length === 0) continue;
    const token = deps.random.id();
    const remove = async (tx: MongoTx) => {
      await deps.analytics.guard(tx);
      const affected: Spans = new Map();
      for (const { visitor, start } of orphans) widen(affected, visitor, start);
      const { touched } = await remakeSessions(deps, { affected, devices: new Map(), moved: [] }, tx);
      await markQuarters(deps, touched, token, tx);
    };
    await patiently(() => deps.mongo.transaction(remove));
  }
}

/** How often a rebuild tries a step that others were quicker with. */
const TRIES = 30;

/** Does a step again while other processes, which settle at the same time, keep it from being done. */
async function patiently<T>(step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (!isBusy(error) || attempt === TRIES) throw error;
    }
  }
}

/**
 * Makes all sessions and rollups anew from the events, for instance after a change of their rules or of the
 * list of bots. They are replaced one by one, so other processes may go on meanwhile, and one that dies in the
 * midst leaves what the next settling or the next rebuild finishes; reports say that they are not complete.
 * Rollups of a time whose events are no longer kept stay.
 * @returns false when it stopped before the end, or rollups could not be made
 */
export async function rebuild(deps: Deps, stopped: () => boolean = () => false): Promise<boolean> {
  for (let afterId = ""; !stopped(); ) {
    const events = await deps.analytics.eventsAfter(afterId, STEP);
    const last = events.at(-1);
    if (!last) break;
    await patiently(() => reopen(deps, events));
    afterId = last._id;
  }
  await removeOrphans(deps, stopped);
  if (stopped()) return false;
  for (const level of ["quarter", "day"] as const) {
    const times = await deps.analytics.rollupTimes(level, keptSince(deps.clock.now()));
    const token = deps.random.id();
    for (let index = 0; index < times.length && !stopped(); index += KEYS) {
      const part = times.slice(index, index + KEYS);
      await patiently(() => deps.mongo.transaction((tx) => deps.analytics.markDirty(level, part, token, tx)));
    }
  }
  for (let attempt = 1; attempt <= TRIES && !stopped(); attempt++) {
    if (await patiently(() => settle(deps, { stopped }))) return true;
  }
  return false;
}

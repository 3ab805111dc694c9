import { mutate } from "../audit";
import { type MongoTx, tookTooLong } from "../db/mongo";
import { isUnavailable } from "../db/unavailable";
import { chunksOf } from "../lib/chunks";
import { after } from "../lib/clock";
import type { AnalyticsDeps } from "./deps";
import { learnDevicesAnew } from "./identity";
import { AHEAD, keptSince } from "./intake/time";
import type { JudgedEvent } from "./queue.store";
import { quarterHourOf } from "./rollups/buckets";
import { KEYS, type Spans, widen } from "./sessions/around";
import { remakeSessions } from "./sessions/remake";
import { markQuarterHours, remakeAround } from "./sessions/step";
import { FIRST_STEP, isBusy, nextLimit, settle } from "./settle";
import { isBackground, isBot, visitorOf } from "./visitor";

/** Judges anew which events are a bot's or happened in the background. @returns those that changed, as they were and are */
function judgeAnew(events: JudgedEvent[]): { before: JudgedEvent[]; now: JudgedEvent[] } {
  const before: JudgedEvent[] = [];
  const now: JudgedEvent[] = [];
  for (const event of events) {
    const bot = isBot(event.userAgent);
    // The projection that events are read with leaves a page out that is null.
    const background = event.background === true || isBackground({ ...event, page: event.page ?? null });
    if (bot === event.bot && background === (event.background ?? false)) continue;
    before.push({ ...event });
    event.visitor = bot === event.bot ? event.visitor : visitorOf({ ...event, bot });
    event.bot = bot;
    if (background) event.background = background;
    now.push(event);
  }
  return { before, now };
}

/**
 * Makes the visitors and sessions of up to `limit` events anew, in one transaction, and writes what differs from what is stored.
 * @returns the events, none when there are no more, and how many were read around them
 */
function remakeStep(
  deps: AnalyticsDeps,
  { last, until, limit }: { last: JudgedEvent | null; until: Date; limit: number },
): Promise<{ events: JudgedEvent[]; read: number }> {
  const token = deps.random.id();
  return mutate(deps, "mongo", {}, async (tx) => {
    await deps.analytics.queue.guard(tx);
    const events = await deps.analytics.queue.eventsAfter(last, until, limit, tx);
    const { before, now } = judgeAnew(events);
    await deps.analytics.queue.setJudgement(now, tx);
    const read = await remakeAround(deps, events, { anew: true, before, token }, tx);
    return { events, read };
  });
}

/**
 * Does all steps. What fails is done again in halves, and one event that fails alone is left out.
 * @param counted is told of the events of each step
 */
async function remakeAll(
  deps: AnalyticsDeps,
  { stopped, counted }: { stopped: () => boolean; counted: (events: JudgedEvent[]) => void },
): Promise<void> {
  // Servers whose clocks are a little ahead have received events too.
  const until = after(deps.clock.now(), AHEAD);
  let last: JudgedEvent | null = null;
  let failures = 0;
  for (let limit = FIRST_STEP; !stopped(); ) {
    const began = performance.now();
    let step: Awaited<ReturnType<typeof remakeStep>>;
    try {
      step = await remakeStep(deps, { last, until, limit });
      failures = 0;
    } catch (error) {
      const busy = isBusy(error);
      // That others were quicker is told with what the database said, which alone would mean that it is away.
      if (busy ? ++failures === TRIES : isUnavailable(error) && !tookTooLong(error)) throw error;
      if (limit > 1 || busy) {
        limit = Math.ceil(limit / 2);
        continue;
      }
      const events = await deps.analytics.queue.eventsAfter(last, until, 1);
      step = { events, read: 0 };
      deps.log.error({ err: error, ids: events.map(({ _id }) => _id) }, "an event cannot get its session");
    }
    const { events, read } = step;
    if (events.length === 0) return;
    counted(events);
    last = events.at(-1) ?? null;
    limit = nextLimit(limit, { settled: events.length, read, took: performance.now() - began });
  }
}

/** Removes sessions whose visitor did nothing when they begin: no settling makes one like that. */
async function removeOrphans(deps: AnalyticsDeps, stopped: () => boolean): Promise<void> {
  for (let afterId = ""; !stopped(); ) {
    const sessions = await deps.analytics.sessions.after(afterId, KEYS);
    const last = sessions.at(-1);
    if (!last) return;
    afterId = last._id;
    const line = (visitor: string, time: Date) => `${time.getTime()} ${visitor}`;
    const events = await deps.analytics.queue.eventsAt(sessions.map(({ start }) => start));
    const there = new Set(events.map(({ visitor, at }) => line(visitor, at)));
    const orphans = sessions.filter(({ visitor, start }) => !there.has(line(visitor, start)));
    if (orphans.length === 0) continue;
    const token = deps.random.id();
    const remove = async (tx: MongoTx) => {
      await deps.analytics.queue.guard(tx);
      const affected: Spans = new Map();
      for (const { visitor, start } of orphans) widen(affected, visitor, start);
      const left = new Set(affected.keys());
      const { touched } = await remakeSessions(deps, { affected, left, devices: new Map(), moved: [] }, tx);
      await markQuarterHours(deps, touched, token, tx);
    };
    await retryWhileBusy(() => mutate(deps, "mongo", {}, remove));
  }
}

/** How often a rebuild tries a step that others were quicker with. */
const TRIES = 30;

/** Does a step again while other processes, which settle at the same time, keep it from being done. */
async function retryWhileBusy<T>(step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (!isBusy(error) || attempt === TRIES) throw error;
    }
  }
}

/** Learns anew whose devices are. */
async function relearnDevices(deps: AnalyticsDeps, stopped: () => boolean): Promise<void> {
  for (let afterId = ""; !stopped(); ) {
    const devices = await deps.analytics.devices.after(afterId, KEYS);
    const last = devices.at(-1);
    if (last === undefined) return;
    afterId = last;
    await retryWhileBusy(() =>
      mutate(deps, "mongo", {}, async (tx) => {
        await deps.analytics.queue.guard(tx);
        await learnDevicesAnew(deps, devices, tx);
      }),
    );
  }
}

/** Marks every bucket whose events are kept, and those of these quarter-hours. @returns how many there are */
async function markAll(
  deps: AnalyticsDeps,
  quarterHours: Set<number>,
  stopped: () => boolean,
): Promise<number> {
  let marked = 0;
  const kept = keptSince(deps.clock.now());
  for (const level of ["quarterHour", "day"] as const) {
    const known = (await deps.analytics.rollups.times(level, kept)).map((time) => time.getTime());
    const found = level === "day" ? [] : [...quarterHours].filter((time) => time >= kept.getTime());
    const times = [...new Set([...known, ...found])].sort((a, b) => a - b).map((time) => new Date(time));
    const token = deps.random.id();
    for (const part of chunksOf(times, KEYS)) {
      if (stopped()) break;
      await retryWhileBusy(() =>
        mutate(deps, "mongo", {}, (tx) => deps.analytics.rollups.mark(level, part, token, tx)),
      );
    }
    marked += times.length;
  }
  return marked;
}

/** How far a rebuild is: events whose sessions are made, then buckets of reports. The totals are about so many. */
export type RebuildProgress = (what: "events" | "buckets", done: number, total: number) => void;

/**
 * Makes all sessions and rollups anew from the events, for instance after a change of their rules or of the
 * list of bots. A part of the events after the other, in the order in which they came, so that what comes in meanwhile
 * waits for one part at most; other processes may go on. One that dies in the midst leaves nothing wrong that was right
 * before, and is to be run again. Reports stay as they were counted until all sessions are made, and then say that they
 * are not complete. Rollups of a time whose events are no longer kept stay.
 * @returns false when it stopped before the end, or rollups could not be made
 */
export async function rebuild(
  deps: AnalyticsDeps,
  {
    stopped = () => false,
    progress = () => {},
  }: { stopped?: () => boolean; progress?: RebuildProgress } = {},
): Promise<boolean> {
  const total = await deps.analytics.queue.count();
  const quarterHours = new Set<number>();
  let done = 0;
  await remakeAll(deps, {
    stopped,
    counted: (events) => {
      for (const { at } of events) quarterHours.add(quarterHourOf(at).getTime());
      done += events.length;
      progress("events", done, Math.max(done, total));
    },
  });
  await removeOrphans(deps, stopped);
  await relearnDevices(deps, stopped);
  if (stopped()) return false;
  const buckets = await markAll(deps, quarterHours, stopped);
  let made = 0;
  const counted = (count: number) => {
    made += count;
    progress("buckets", made, Math.max(made, buckets));
  };
  for (let attempt = 1; attempt <= TRIES && !stopped(); attempt++) {
    // Servers begin with the oldest: starting at the other end keeps both from making the same buckets.
    if (await retryWhileBusy(() => settle(deps, { first: "newest", stopped, counted }))) return true;
  }
  return false;
}

import type { MongoTx } from "../db/mongo";
import { after } from "../lib/clock";
import type { AnalyticsDeps } from "./deps";
import { learnDevicesAnew } from "./identity";
import { AHEAD, keptSince } from "./intake/time";
import type { JudgedEvent } from "./queue.store";
import { KEYS, type Spans, widen } from "./sessions/around";
import { remakeSessions } from "./sessions/remake";
import { markQuarterHours, settleStep } from "./sessions/step";
import { isBusy, STEP, settle } from "./settle";
import { isBackground, isBot, visitorOf } from "./visitor";

/** Makes events wait again, with a new judgement of which of them are a bot's. */
async function makePendingAgain(deps: AnalyticsDeps, events: JudgedEvent[]): Promise<void> {
  const ids = events.map(({ _id }) => _id);
  const judged = events.flatMap((event) => {
    const bot = isBot(event.userAgent);
    const background = event.background === true || isBackground(event);
    if (bot === event.bot && background === (event.background ?? false)) return [];
    const visitor = bot === event.bot ? event.visitor : visitorOf({ ...event, bot });
    return [{ ...event, bot, visitor, ...(background ? { background } : {}) }];
  });
  if (judged.length === 0) return deps.analytics.queue.makePending(ids);
  const changed = new Set(judged.map(({ _id }) => _id));
  const token = deps.random.id();
  await deps.mongo.transaction(async (tx) => {
    await deps.analytics.queue.guard(tx);
    await deps.analytics.queue.makePending(ids, judged, tx);
    // What they were part of loses them now; what they become part of is found when they are settled.
    const affected: Spans = new Map();
    for (const { _id, visitor, at } of events) if (changed.has(_id)) widen(affected, visitor, at);
    const left = new Set(affected.keys());
    const { touched } = await remakeSessions(deps, { affected, left, devices: new Map(), moved: [] }, tx);
    await markQuarterHours(deps, [...judged.map(({ at }) => at), ...touched], token, tx);
  });
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
    await retryWhileBusy(() => deps.mongo.transaction(remove));
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

/** Makes sessions until fewer events wait than one transaction takes, which is all that waited before. */
async function settleSessions(deps: AnalyticsDeps, stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    const { settled } = await retryWhileBusy(() => settleStep(deps, STEP));
    if (settled < STEP) return;
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
      deps.mongo.transaction(async (tx) => {
        await deps.analytics.queue.guard(tx);
        await learnDevicesAnew(deps, devices, tx);
      }),
    );
  }
}

/** Marks every bucket whose events are kept. @returns how many there are */
async function markAll(deps: AnalyticsDeps, stopped: () => boolean): Promise<number> {
  let marked = 0;
  for (const level of ["quarterHour", "day"] as const) {
    const times = await deps.analytics.rollups.times(level, keptSince(deps.clock.now()));
    const token = deps.random.id();
    for (let index = 0; index < times.length && !stopped(); index += KEYS) {
      const part = times.slice(index, index + KEYS);
      await retryWhileBusy(() =>
        deps.mongo.transaction((tx) => deps.analytics.rollups.mark(level, part, token, tx)),
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
 * waits for one part at most; other processes may go on, and one that dies in the midst leaves what the next settling
 * or the next rebuild finishes. Reports say that they are not complete. Rollups of a time whose events are no longer
 * kept stay.
 * @returns false when it stopped before the end, or rollups could not be made
 */
export async function rebuild(
  deps: AnalyticsDeps,
  {
    stopped = () => false,
    progress = () => {},
  }: { stopped?: () => boolean; progress?: RebuildProgress } = {},
): Promise<boolean> {
  // Servers whose clocks are a little ahead have received events too.
  const until = after(deps.clock.now(), AHEAD);
  const total = await deps.analytics.queue.count();
  let done = 0;
  for (let last: JudgedEvent | null = null; !stopped(); ) {
    const events: JudgedEvent[] = await deps.analytics.queue.eventsAfter(last, until, STEP);
    last = events.at(-1) ?? null;
    if (last === null) break;
    await retryWhileBusy(() => makePendingAgain(deps, events));
    await settleSessions(deps, stopped);
    done += events.length;
    progress("events", done, Math.max(done, total));
  }
  await removeOrphans(deps, stopped);
  await relearnDevices(deps, stopped);
  if (stopped()) return false;
  const buckets = await markAll(deps, stopped);
  let made = 0;
  const counted = (count: number) => {
    made += count;
    progress("buckets", made, Math.max(made, buckets));
  };
  for (let attempt = 1; attempt <= TRIES && !stopped(); attempt++) {
    if (await retryWhileBusy(() => settle(deps, { stopped, counted }))) return true;
  }
  return false;
}

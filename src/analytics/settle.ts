import { AppError } from "../lib/errors";
import type { AnalyticsDeps } from "./deps";
import { settleRollups } from "./rollups/recompute";
import type { MarkOrder } from "./rollups.store";
import { settleStep } from "./sessions/step";

/** Events that get their session in one transaction, at most. */
export const STEP = 10_000;
/** Events that one transaction should read around them, so that memory stays bounded when visits are very long. */
const MAX_READ = 150_000;
/** A step of that many milliseconds is made smaller before it comes near the limit of a transaction, which is 5 s. */
const LONG_STEP = 2000;
/** What a process begins with, before it knows how long a step takes here. */
export const FIRST_STEP = STEP / 8;

/**
 * How many events the next step takes. A step of fewer than it might have taken tells nothing of larger ones, unless
 * even those took long.
 * @param limit how many the step might take that is done
 * @param done.settled how many it took
 * @param done.read events that were read for it
 * @param done.took how long that was, in milliseconds
 */
export function nextLimit(
  limit: number,
  { settled, read, took }: { settled: number; read: number; took: number },
): number {
  if (read > MAX_READ || took > LONG_STEP) return Math.max(1, Math.ceil(Math.min(limit, settled) / 2));
  const isEasy = settled >= limit && read <= MAX_READ / 2 && took <= LONG_STEP / 2;
  return isEasy ? Math.min(STEP, limit * 2) : limit;
}

/** How many events a step takes in this process: what one settling learns of the engine, the next one need not. */
const limits = new WeakMap<AnalyticsDeps, number>();

/** How long sessions and rollups each have their turn while more events wait, in milliseconds. */
const TURN = 2000;

interface Settling {
  first?: MarkOrder;
  stopped?: () => boolean;
  counted?: (buckets: number) => void;
}

/** Makes sessions until nothing waits, and rollups after it or between, whichever comes first. */
async function settleNow(deps: AnalyticsDeps, until: number, options: Settling): Promise<boolean> {
  const { stopped = () => false } = options;
  for (;;) {
    const turn = Math.min(until, performance.now() + TURN);
    let emptied: boolean;
    do {
      const limit = limits.get(deps) ?? FIRST_STEP;
      const began = performance.now();
      const { settled, read } = await settleStep(deps, limit);
      const took = performance.now() - began;
      limits.set(deps, nextLimit(limit, { settled, read, took }));
      if (stopped()) return false;
      // Less than it may take is all that waited. Nothing at all is never found while events come in.
      emptied = settled < limit;
    } while (!emptied && performance.now() < turn);
    // Rollups have their turn also when sessions have used up the time, or a backlog would keep them for good.
    const next = performance.now() + TURN;
    const end = emptied ? Math.max(until, next) : next;
    const counted = await settleRollups(deps, {
      ...options,
      all: until === Number.POSITIVE_INFINITY,
      stopped: () => stopped() || performance.now() > end,
    });
    if (emptied || stopped() || performance.now() > until) return emptied && counted;
  }
}

/** The settling that runs in this process, so that callers at once share one. */
const running = new WeakMap<AnalyticsDeps, Promise<boolean>>();

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
 * @param first the buckets of reports that are made first
 * @param counted is told how many buckets were made
 * @returns false when there is more to do
 * @throws AppError service_unavailable when other processes were quicker with it each time
 */
export async function settle(
  deps: AnalyticsDeps,
  { limit, ...options }: { limit?: number } & Settling = {},
): Promise<boolean> {
  const until = limit === undefined ? Number.POSITIVE_INFINITY : performance.now() + limit;
  let before = running.get(deps);
  if (limit === undefined) {
    // What others of this process share ends before everything is done, so it is not joined.
    for (; before; before = running.get(deps)) await before.then(always, always);
  } else if (before && !(await inTime(before.then(always, always), limit))) return false;
  // What came in since the one before began is not in it for sure: one more after it is.
  const work = running.get(deps) ?? settleNow(deps, until, options).finally(() => running.delete(deps));
  running.set(deps, work);
  return work;
}

/** Other processes were quicker each time. */
export const isBusy = (error: unknown): boolean =>
  error instanceof AppError && error.code === "service_unavailable";

/**
 * Settles unless somebody does so already: for whoever comes again soon, and should not wait.
 * @param limit how long it should take, in milliseconds
 * @returns false when there is, or may be, more to do
 */
export async function settleUnlessBusy(
  deps: AnalyticsDeps,
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
const READER_WAITS = 1500;

/**
 * Brings sessions and rollups up to the events as far as a reader can wait for it; what takes longer goes on behind.
 * A failure keeps nobody from reading what was counted before.
 * @returns false when there is more to do
 */
export async function settleForReader(deps: AnalyticsDeps): Promise<boolean> {
  const work = settle(deps, { limit: READER_WAITS }).catch((error) => {
    if (!isBusy(error))
      deps.log.error({ err: error }, "sessions and rollups were not brought up to the events");
    return false;
  });
  return inTime(work, READER_WAITS);
}

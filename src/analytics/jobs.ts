import { after, DAY, HOUR } from "../clock";
import type { Deps } from "../deps";
import type { JobHandler } from "../jobs/runner";
import { updatePopularity } from "./popularity";
import { settle } from "./settle";
import { keptSince } from "./time";

/** Events that are removed in one step. */
const STEP = 1000;

const KINDS = ["analytics.settle", "analytics.popularity", "analytics.daily"];

const dayAfter = (time: Date): Date => new Date((Math.floor(time.getTime() / DAY) + 1) * DAY);

/** Enqueues the daily and the hourly work, once for each day and hour, however many processes there are. */
async function planNext(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  const hour = Math.floor(now.getTime() / HOUR);
  await deps.jobs.mongo.enqueue({
    id: deps.random.id(),
    kind: "analytics.popularity",
    payload: {},
    runAt: new Date((hour + 1) * HOUR),
    dedupeKey: `analytics.popularity:${hour}`,
  });
  const day = dayAfter(now);
  await deps.jobs.mongo.enqueue({
    id: deps.random.id(),
    kind: "analytics.daily",
    payload: {},
    runAt: after(day, 3 * HOUR),
    dedupeKey: `analytics.daily:${day.toISOString().slice(0, 10)}`,
  });
}

/** Brings sessions and rollups up to what came in. What a process that stops leaves, the next one does. */
const settleEvents =
  (deps: Deps): JobHandler =>
  async ({ signal }) => {
    // A report of this process that settles at the same moment stops after its time, and so what joined it.
    while (!signal.aborted && !(await settle(deps, { stopped: () => signal.aborted })));
    signal.throwIfAborted();
    await planNext(deps);
  };

const popularity =
  (deps: Deps): JobHandler =>
  async ({ signal }) => {
    await updatePopularity(deps, () => signal.aborted);
    signal.throwIfAborted();
  };

/** Removes what is older than it may be kept. Rollups stay: they name nobody. */
export async function removeExpired(deps: Deps, stopped: () => boolean = () => false): Promise<void> {
  const limit = keptSince(deps.clock.now());
  while (!stopped() && (await deps.analytics.removeEventsBefore(limit, STEP)) > 0);
  while (!stopped() && (await deps.analytics.removeSessionsBefore(limit, STEP)) > 0);
  await deps.analytics.removeExpiredState(deps.clock.now());
}

const daily =
  (deps: Deps): JobHandler =>
  async ({ signal }) => {
    await removeExpired(deps, () => signal.aborted);
    signal.throwIfAborted();
    // One every few seconds: the database need not remember them all.
    await deps.jobs.mongo.forget(KINDS, after(deps.clock.now(), -2 * DAY));
    // The next day is planned here too, so that retention goes on when nobody visits any more.
    await planNext(deps);
  };

/** What /api/analytics leaves for later. */
export const analyticsJobs = (deps: Deps): Record<string, JobHandler> => ({
  "analytics.settle": settleEvents(deps),
  "analytics.popularity": popularity(deps),
  "analytics.daily": daily(deps),
});

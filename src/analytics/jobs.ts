import { mutate } from "../audit";
import type { JobHandler } from "../jobs/runner";
import { after, DAY, dayAfter, HOUR, SECOND } from "../lib/clock";
import type { AnalyticsDeps } from "./deps";
import { keptSince } from "./intake/time";
import { updatePopularity } from "./popularity";
import { scheduleSettling } from "./schedule";
import { settleUnlessBusy } from "./settle";

/** How long it can be looked at what became of events, in milliseconds. */
const INTAKE_KEPT = 30 * DAY;
/** Events that are removed in one step. */
const STEP = 1000;

const KINDS = ["analytics.settle", "analytics.popularity", "analytics.daily"];

/** Enqueues the daily and the hourly work, once for each day and hour, however many processes there are. */
async function planNext(deps: AnalyticsDeps): Promise<void> {
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

/** How long a job settles before it leaves the rest to a later one, in milliseconds. */
const SETTLE_LIMIT = 10 * SECOND;

/**
 * Brings sessions and rollups up to what came in. It holds one of this process's few places for jobs, so it neither
 * waits for others that settle nor goes on for long: what is left, the job of the next slot does.
 */
const settleEvents =
  (deps: AnalyticsDeps): JobHandler =>
  async ({ signal }) => {
    await planNext(deps);
    const settled = await settleUnlessBusy(deps, { limit: SETTLE_LIMIT, stopped: () => signal.aborted });
    signal.throwIfAborted();
    if (!settled) await scheduleSettling(deps);
  };

const popularity =
  (deps: AnalyticsDeps): JobHandler =>
  async ({ signal }) => {
    await updatePopularity(deps, () => signal.aborted);
    signal.throwIfAborted();
  };

/** Removes what is older than it may be kept. Rollups stay: they name nobody. */
export async function removeExpired(
  deps: AnalyticsDeps,
  stopped: () => boolean = () => false,
): Promise<void> {
  const limit = keptSince(deps.clock.now());
  // Sessions first: a rebuild after a crash in between would drop those without events, and who came back with them.
  const removeSessions = () =>
    mutate(deps, "mongo", {}, (tx) => deps.analytics.sessions.removeBefore(limit, STEP, tx));
  while (!stopped() && (await removeSessions()) > 0);
  while (!stopped() && (await deps.analytics.events.removeBefore(limit, STEP)) > 0);
  await deps.analytics.state.removeExpired(deps.clock.now());
  const old = after(deps.clock.now(), -INTAKE_KEPT);
  while (!stopped() && (await deps.analytics.intake.removeBefore(old, STEP)) > 0);
}

const daily =
  (deps: AnalyticsDeps): JobHandler =>
  async ({ signal }) => {
    await removeExpired(deps, () => signal.aborted);
    signal.throwIfAborted();
    // Sooner than the housekeeping does, which keeps what was done for seven days: here is one every few seconds.
    await deps.jobs.mongo.forget(KINDS, after(deps.clock.now(), -2 * DAY));
    // The next day is planned here too, so that retention goes on when nobody visits any more.
    await planNext(deps);
  };

/** What /api/analytics leaves for later. */
export const analyticsJobs = (deps: AnalyticsDeps): Record<string, JobHandler> => ({
  "analytics.settle": settleEvents(deps),
  "analytics.popularity": popularity(deps),
  "analytics.daily": daily(deps),
});

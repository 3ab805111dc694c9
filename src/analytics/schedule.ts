import { SECOND } from "../lib/clock";
import { inScope } from "../telemetry/scope";
import type { AnalyticsDeps } from "./deps";

/** How long events may wait for their session when no report asks, in milliseconds. */
const SETTLE_EVERY = 5 * SECOND;

/**
 * Makes sure that a job settles what was stored, one for all events of some seconds. The job runs when its
 * slot is over, so that everything of the slot is there. What a lost job leaves is done by the next one, or by the next
 * report: the events themselves say that they wait.
 */
export async function scheduleSettling(deps: AnalyticsDeps): Promise<void> {
  const slot = Math.floor(deps.clock.now().getTime() / SETTLE_EVERY);
  if (lastSlot.get(deps) === slot) return;
  const job = {
    id: deps.random.id(),
    kind: "analytics.settle",
    payload: {},
    runAt: new Date((slot + 1) * SETTLE_EVERY),
    dedupeKey: `analytics.settle:${slot}`,
  };
  // It is of all events of the slot, not of the request that came first.
  await inScope(undefined, () => deps.jobs.mongo.enqueue(job));
  lastSlot.set(deps, slot);
}

/** The slot that this process has enqueued last; it only saves asking again. */
const lastSlot = new WeakMap<AnalyticsDeps, number>();

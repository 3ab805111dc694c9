import {
  ATTEMPT_TTL,
  KEEP_ENDED,
  KEEP_EXPIRED_KEYS,
  KEEP_UNVERIFIED,
  keepHashKeys,
  reencryptAll,
} from "./auth";
import type { JobHandler } from "./jobs/runner";
import { after, DAY, dayAfter, HOUR } from "./lib/clock";
import { planWords } from "./users/reindex";
import type { Deps } from "./wire";

const KIND = "jobs.housekeeping";
/** How long a job that was done can still be looked at, in milliseconds. Failed ones stay. */
const KEEP_DONE = 7 * DAY;
/** Rows that one statement removes, so that none holds locks for long. */
const STEP = 1000;

/** Enqueues the housekeeping of the next night (UTC), once however many processes ask. */
export async function planHousekeeping(deps: Deps): Promise<void> {
  const day = dayAfter(deps.clock.now());
  await deps.jobs.mysql.enqueue({
    id: deps.random.id(),
    kind: KIND,
    payload: {},
    runAt: after(day, 2 * HOUR),
    dedupeKey: `${KIND}:${day.toISOString().slice(0, 10)}`,
  });
}

/**
 * Removes what has outlived its use: jobs that were done, expired idempotency keys, codes nobody can use any
 * more, sessions that nobody is shown any more, keys and devices whose time is over, and accounts that were never verified. Then it seals secrets anew that are under an earlier key of
 * DATA_KEY.
 */
const keepHouse =
  (deps: Deps): JobHandler =>
  async ({ signal }) => {
    // First, so that the next night comes whatever becomes of this one.
    await planHousekeeping(deps);
    await keepHashKeys(deps);
    await planWords(deps);
    const now = deps.clock.now();
    const steps = [
      () => deps.jobs.mysql.prune(after(now, -KEEP_DONE), STEP),
      () => deps.jobs.mongo.prune(after(now, -KEEP_DONE), STEP),
      () => deps.idempotency.mysql.prune(now, STEP),
      () => deps.codes.prune(after(now, -ATTEMPT_TTL), STEP),
      () => deps.devices.prune(now, STEP),
      () => deps.sessions.prune(after(now, -KEEP_ENDED), STEP),
      () => deps.apiKeys.prune(after(now, -KEEP_EXPIRED_KEYS), STEP),
      () => deps.users.pruneUnverified(after(now, -KEEP_UNVERIFIED), after(now, -ATTEMPT_TTL), STEP),
    ];
    for (const step of steps) while (!signal.aborted && (await step()) > 0);
    const { sealed, left, why } = await reencryptAll(deps, signal);
    if (sealed > 0) deps.log.info({ sealed }, `secrets were sealed anew under ${deps.vault.version}`);
    if (left > 0) deps.log.error({ left, err: why }, "secrets under another key could not be read");
  };

export const housekeepingJobs = (deps: Deps): Record<string, JobHandler> => ({ [KIND]: keepHouse(deps) });

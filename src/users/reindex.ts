import { mutate } from "../audit";
import type { JobHandler } from "../jobs/runner";
import type { UserDeps } from "./deps";
import { WORDS_FORM } from "./words";

const KIND = "users.words";
/** People whose words are made between two looks at whether the job is to stop. */
const STEP = 200;

/** Enqueues what makes the words of people anew that an earlier version kept in another form, or did not keep. */
export async function planWords(deps: UserDeps): Promise<void> {
  if ((await deps.users.withOldWords(1)).length === 0) return;
  const [id, runAt] = [deps.random.id(), deps.clock.now()];
  // By the hour: a copy of an earlier version may go on making people after the job is done.
  const dedupeKey = `${KIND}:${WORDS_FORM}:${runAt.toISOString().slice(0, 13)}`;
  await deps.jobs.mysql.enqueue({ id, kind: KIND, payload: {}, runAt, dedupeKey });
  deps.jobs.wake();
}

const makeWords =
  (deps: UserDeps): JobHandler =>
  async ({ signal }) => {
    for (;;) {
      const ids = await deps.users.withOldWords(STEP);
      if (ids.length === 0) return;
      for (const id of ids) {
        signal.throwIfAborted();
        await mutate(deps, "mysql", {}, async (tx) => {
          if (await deps.users.lock(id, tx)) await deps.users.saveWords(id, tx);
        });
      }
    }
  };

export const wordJobs = (deps: UserDeps): Record<string, JobHandler> => ({ [KIND]: makeWords(deps) });

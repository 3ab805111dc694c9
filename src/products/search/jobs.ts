import type { JobHandler } from "../../jobs/runner";
import type { ProductDeps } from "../deps";
import { INDEX_FORMAT } from "./model";

const KIND = "search.rebuild";

/** Has the index rebuilt when this version indexes differently from the one that built it; once for all processes. */
export async function planRebuild({
  search,
  jobs,
  clock,
  random,
}: Pick<ProductDeps, "search" | "jobs" | "clock" | "random">): Promise<void> {
  await search.begin();
  if (!(await search.isOutdated())) return;
  const dedupeKey = `${KIND}:${INDEX_FORMAT}`;
  await jobs.mongo.enqueue({ id: random.id(), kind: KIND, payload: {}, runAt: clock.now(), dedupeKey });
  jobs.wake();
}

/** Repeatable: begins again from the first product. */
const rebuild =
  ({ search, log }: Pick<ProductDeps, "search" | "log">): JobHandler =>
  async ({ signal }) => {
    if (!(await search.isOutdated())) return;
    log.info("the search is rebuilt, because this version indexes differently");
    await search.rebuild(() => signal.throwIfAborted());
    log.info("the search was rebuilt");
  };

export const searchJobs = (deps: Pick<ProductDeps, "search" | "log">): Record<string, JobHandler> => ({
  [KIND]: rebuild(deps),
});

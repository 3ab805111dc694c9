import { analyticsJobs } from "./analytics/jobs";
import { auditJobs } from "./audit/jobs";
import { authJobs } from "./auth/jobs";
import { housekeepingJobs } from "./housekeeping";
import { stockJobs } from "./inventory/jobs";
import { readBacklog } from "./jobs/admin";
import { createJobRunner, type JobHandler, type JobRunner } from "./jobs/runner";
import { bulkJobs } from "./products/bulk/jobs";
import { categoryJobs } from "./products/categories/jobs";
import { imageJobs } from "./products/images/jobs";
import { searchJobs } from "./products/search/jobs";
import { accountJobs } from "./users/me/jobs";
import { wordJobs } from "./users/reindex";
import type { Deps } from "./wire";

/** Every kind of job and who does it. */
const jobHandlers = (deps: Deps): Record<string, JobHandler> => ({
  ...auditJobs(deps),
  ...authJobs(deps),
  ...accountJobs(deps),
  ...categoryJobs(deps),
  ...bulkJobs(deps),
  ...imageJobs(deps),
  ...searchJobs(deps),
  ...analyticsJobs(deps),
  ...stockJobs(deps),
  ...housekeepingJobs(deps),
  ...wordJobs(deps),
});

/** The runner of this process, over both databases. */
export function createRunner(deps: Deps): JobRunner {
  const runner = createJobRunner({
    stores: [deps.jobs.mysql, deps.jobs.mongo],
    handlers: jobHandlers(deps),
    clock: deps.clock,
    log: deps.log,
    tracing: deps.tracing,
  });
  deps.jobs.onWake(runner.wake);
  deps.jobs.isStalled = runner.isStalled;
  // Both gauges are read at once, and share one look at the databases.
  let reading: ReturnType<typeof readBacklog> | undefined;
  const backlog = () => {
    reading ??= readBacklog(deps).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  deps.metrics.gauge("aizy_jobs", "Background jobs by state", "state", async () => {
    const { lagSeconds: _, ...counts } = await backlog();
    return counts;
  });
  deps.metrics.gauge(
    "aizy_jobs_lag_seconds",
    "For how long the oldest job is due that nobody has taken",
    "of",
    async () => ({ all: (await backlog()).lagSeconds }),
  );
  return runner;
}

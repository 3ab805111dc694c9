/** Audit entries of changes in MongoDB: enqueued in the transaction of the change, written to the log by a job. */

import type { NewJob } from "../jobs/jobs";
import type { JobHandler } from "../jobs/runner";
import type { JsonValue } from "../lib/json";
import type { AuditDeps } from "./deps";
import type { AuditEntry } from "./entry";

const KIND = "audit.record";

/** The job that records an entry. Enqueue it in the transaction of the change. */
export const auditJobOf = ({ at, ...entry }: AuditEntry): NewJob => ({
  id: entry.id,
  kind: KIND,
  payload: { ...entry, at: at.toISOString() } as unknown as JsonValue,
  runAt: at,
});

/** Repeatable: an entry that is there is left alone. */
const record =
  ({ audit }: Pick<AuditDeps, "audit">): JobHandler =>
  async ({ job }) => {
    const { at, ...entry } = job.payload as unknown as Omit<AuditEntry, "at"> & { at: string };
    await audit.recordOnce({ ...entry, at: new Date(at) });
  };

export const auditJobs = (deps: Pick<AuditDeps, "audit">): Record<string, JobHandler> => ({
  [KIND]: record(deps),
});

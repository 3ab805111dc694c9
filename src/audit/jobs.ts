/** Audit entries of changes in MongoDB: enqueued in the transaction of the change, written to the log by a job. */

import type { NewJob, ScopedJob } from "../jobs/jobs";
import type { JobHandler } from "../jobs/runner";
import type { JsonValue } from "../lib/json";
import type { Scope } from "../telemetry/scope";
import type { AuditDeps } from "./deps";
import type { AuditEntry } from "./entry";

const KIND = "audit.record";

/** An entry as JSON. */
type Written = Omit<AuditEntry, "at"> & { at: string };
const written = ({ at, ...entry }: AuditEntry): Written => ({ ...entry, at: at.toISOString() });
const entryOf = ({ at, ...entry }: Written): AuditEntry => ({ ...entry, at: new Date(at) });

/** The job that records an entry. Enqueue it in the transaction of the change. */
export const auditJobOf = (entry: AuditEntry): NewJob => ({
  id: entry.id,
  kind: KIND,
  payload: written(entry) as unknown as JsonValue,
  runAt: entry.at,
});

/**
 * The job for the entries of a transaction that carries the changes of several requests, each with the scope of its own:
 * several entries are recorded together, and then belong to no request alone.
 */
export function auditJobsOf(entries: { entry: AuditEntry; scope: Scope | undefined }[]): ScopedJob[] {
  const [first] = entries;
  if (!first) return [];
  const job = auditJobOf(first.entry);
  if (entries.length === 1) return [{ ...job, scope: first.scope }];
  const payload = { entries: entries.map(({ entry }) => written(entry)) } as unknown as JsonValue;
  return [{ ...job, payload, scope: undefined }];
}

/** Repeatable: an entry that is there is left alone. */
const record =
  ({ audit }: Pick<AuditDeps, "audit">): JobHandler =>
  async ({ job }) => {
    const payload = job.payload as unknown as Written | { entries: Written[] };
    await audit.recordAll(("entries" in payload ? payload.entries : [payload]).map(entryOf));
  };

export const auditJobs = (deps: Pick<AuditDeps, "audit">): Record<string, JobHandler> => ({
  [KIND]: record(deps),
});

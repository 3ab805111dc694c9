import { type AuditDeps, type EntryOfChange, type Manager, managedEntry, mutate } from "../audit";
import type { BaseDeps } from "../deps";
import { AppError } from "../lib/errors";
import { type JobQuery, type JobRow, type JobStore, stateOf } from "./jobs";
import type { JobResponse } from "./schema";

const storesOf = ({ jobs }: BaseDeps) => [jobs.mysql, jobs.mongo];

const toJob = (row: JobRow, now: Date): JobResponse => ({
  id: row.id,
  kind: row.kind,
  state: stateOf(row, now),
  runAt: row.runAt.toISOString(),
  ageSeconds: Math.max(0, Math.round((now.getTime() - row.createdAt.getTime()) / 1000)),
  attempts: row.attempts,
  maxAttempts: row.maxAttempts,
  reason: row.lastError,
  finishedAt: row.finishedAt?.toISOString() ?? null,
});

/** How much there is to do in both databases. */
export async function readBacklog(deps: BaseDeps) {
  const now = deps.clock.now();
  const backlogs = await Promise.all(storesOf(deps).map((store) => store.backlog(now)));
  const due = backlogs.flatMap(({ oldestDue }) => (oldestDue === null ? [] : [oldestDue.getTime()]));
  const sum = (name: "waiting" | "running" | "failed") =>
    backlogs.reduce((total, backlog) => total + backlog[name], 0);
  return {
    waiting: sum("waiting"),
    running: sum("running"),
    failed: sum("failed"),
    lagSeconds: due.length === 0 ? 0 : Math.round((now.getTime() - Math.min(...due)) / 1000),
  };
}

/** Jobs of both databases, the newest first, and how much there is to do. */
export async function listJobs(deps: BaseDeps, query: JobQuery) {
  const now = deps.clock.now();
  const stores = storesOf(deps);
  const rows = (await Promise.all(stores.map((store) => store.list(query, now)))).flat();
  return {
    backlog: await readBacklog(deps),
    jobs: rows
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
      .slice(0, query.limit)
      .map((row) => toJob(row, now)),
  };
}

type Mutate<Tx> = (work: (tx: Tx, entry: EntryOfChange) => Promise<boolean>) => Promise<boolean>;

const CHANGES = { retry: "job.retried", discard: "job.discarded" } as const;

/**
 * Changes a job in the database that has it, with its audit entry in the same transaction.
 * @param manager null for a command
 */
async function change(
  deps: AuditDeps,
  manager: Manager | null,
  id: string,
  what: keyof typeof CHANGES,
): Promise<void> {
  const now = deps.clock.now();
  const audit = managedEntry(deps, manager, CHANGES[what]);
  const changeIn = async <Tx>(store: JobStore<Tx>, mutateIn: Mutate<Tx>): Promise<boolean> => {
    const job = await store.find(id);
    if (job === null) return false;
    const { kind, status } = job;
    return mutateIn(async (tx, { tell, omit }) => {
      tell({ id, kind, status });
      const changed = await store[what](id, now, tx);
      if (!changed) omit();
      return changed;
    });
  };
  const done =
    (await changeIn(deps.jobs.mysql, (work) => mutate(deps, "mysql", { audit }, work))) ||
    (await changeIn(deps.jobs.mongo, (work) => mutate(deps, "mongo", { audit }, work)));
  if (!done) throw new AppError("not_found", "There is no such job, or it runs at present.");
  deps.jobs.wake();
}

/** Lets a job run now, with all of its tries. @throws AppError not_found, also when it runs */
export const retryJob = (deps: AuditDeps, manager: Manager | null, id: string): Promise<void> =>
  change(deps, manager, id, "retry");

/** Removes a job. @throws AppError not_found, also when it runs */
export const discardJob = (deps: AuditDeps, manager: Manager | null, id: string): Promise<void> =>
  change(deps, manager, id, "discard");

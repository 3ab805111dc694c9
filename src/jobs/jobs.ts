import type { JsonValue } from "../lib/json";
import type { Scope } from "../telemetry/scope";

/** Work to be done after a change. Enqueued in the transaction of the change: an outbox. */
export interface NewJob {
  id: string;
  kind: string;
  payload: JsonValue;
  runAt: Date;
  /** A second job with the same key, waiting or done, is not made. */
  dedupeKey?: string;
  /** How often it is tried before it is given up as failed; 8 by default, about four minutes. */
  maxAttempts?: number;
}

/** A job without a dedupe key, and the scope that it comes from: of several in one transaction each has its own. */
export interface ScopedJob extends Omit<NewJob, "dedupeKey"> {
  scope: Scope | undefined;
}

/** Transactions in which the stores enqueued something: whoever opened one wakes the runner after it. */
export const enqueuedIn = new WeakSet<object>();

/** A job in the hands of one process until its lease ends. */
export interface LeasedJob {
  id: string;
  kind: string;
  payload: JsonValue;
  /** What an earlier try left with `saveProgress`; null at first. */
  progress: JsonValue;
  attempts: number;
  maxAttempts: number;
  /** Fencing token: whoever holds an older one cannot write to the job any more. */
  fence: number;
  /** The request that it comes from, and the span that enqueued it. */
  requestId: string | null;
  traceparent: string | null;
}

/** How a job ended, or when it goes on. */
export type JobEnd =
  | { status: "done" }
  | { status: "failed"; error: string }
  /** `attempts` are the tries that count. */
  | { status: "waiting"; runAt: Date; error: string; attempts: number };

/** Jobs as rows of one database. `Tx` is that database's transaction. */
export interface JobStore<Tx> {
  enqueue(job: NewJob, tx?: Tx): Promise<void>;
  /** Takes one due job of these kinds until `until`, or gives null when there is none. */
  lease(kinds: string[], now: Date, until: Date): Promise<LeasedJob | null>;
  /** Prolongs the lease. False when it was lost. */
  renew(job: LeasedJob, until: Date): Promise<boolean>;
  /** Records how far it is, for the next try. False when the lease was lost. */
  saveProgress(job: LeasedJob, progress: JsonValue): Promise<boolean>;
  /** Records the end of this try. False when the lease was lost. */
  finish(job: LeasedJob, end: JobEnd, now: Date): Promise<boolean>;
  /** Removes jobs of these kinds that were done before a time, with their dedupe keys. Failed ones stay. */
  forget(kinds: string[], before: Date): Promise<void>;
  /** Removes at most `limit` jobs, of whatever kind, that were done before a time. @returns how many */
  prune(before: Date, limit: number): Promise<number>;
  /** Jobs as administrators see them, the newest first. */
  list(query: JobQuery, now: Date): Promise<JobRow[]>;
  /** Lets a failed job, or one that waits for its next try, run now with all of its tries. False when there is none. */
  retry(id: string, now: Date, tx?: Tx): Promise<boolean>;
  /** Removes a job that nobody runs. False when there is none. */
  discard(id: string, now: Date, tx?: Tx): Promise<boolean>;
  /** How much there is to do, and since when the oldest of it is due. */
  backlog(now: Date): Promise<Backlog>;
  /** One job as it stands, or null. */
  find(
    id: string,
  ): Promise<{ kind: string; status: string; progress: JsonValue; lastError: string | null } | null>;
}

/** A store for transactions that carry the changes of several requests. */
export interface GroupedJobStore<Tx> extends JobStore<Tx> {
  /** Enqueues several with one statement. */
  enqueueAll(jobs: ScopedJob[], tx: Tx): Promise<void>;
}

export const JOB_STATES = ["waiting", "running", "done", "failed"] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface JobQuery {
  state?: JobState | undefined;
  kind?: string | undefined;
  limit: number;
}

/** A job without its payload, which may name people. */
export interface JobRow {
  id: string;
  kind: string;
  status: string;
  runAt: Date;
  attempts: number;
  maxAttempts: number;
  lastError: string | null;
  createdAt: Date;
  finishedAt: Date | null;
}

export interface Backlog {
  waiting: number;
  running: number;
  failed: number;
  oldestDue: Date | null;
}

/**
 * What a job does. A lease moves `runAt` to its end and clears the error of the last try; whoever waits for the next
 * try has one. A lease that has ended belongs to nobody: the job waits.
 */
export const stateOf = ({ status, attempts, lastError, runAt }: JobRow, now: Date): JobState =>
  status !== "waiting"
    ? (status as JobState)
    : attempts > 0 && lastError === null && runAt > now
      ? "running"
      : "waiting";

export const DEFAULT_MAX_ATTEMPTS = 8;

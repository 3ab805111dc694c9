import type { CircuitBreaker } from "../lib/circuit-breaker";
import { after, type Clock, MINUTE, SECOND } from "../lib/clock";
import type { JsonValue } from "../lib/json";
import { jitter } from "../lib/random";
import { errorText } from "../telemetry/errors";
import type { Logger } from "../telemetry/log";
import { inScope } from "../telemetry/scope";
import type { Tracing } from "../telemetry/tracing";
import type { JobStore, LeasedJob } from "./jobs";

/** What a job's handler may use. */
export interface JobContext {
  job: LeasedJob;
  /**
   * Records how far the work is; the next try finds it in `job.progress`.
   * @throws LeaseLost when another process has taken the job over: stop at once
   */
  saveProgress(progress: JsonValue): Promise<void>;
  /** Aborted when the lease is lost or the process stops: leave off between two steps. */
  signal: AbortSignal;
}

/** Does one kind of work. It may run again after a crash, so each step must be repeatable. */
export interface JobHandler {
  (context: JobContext): Promise<void>;
  /** How many of its kind may run at once in a process, so that others have places too; as many as there are. */
  atOnce?: number;
  /** What it needs: while that is away one job tries it after a pause, and all others that need it wait. */
  needs?: CircuitBreaker;
}

/** A handler of jobs that need a service. */
export const needing = (needs: CircuitBreaker, handler: JobHandler): JobHandler =>
  Object.assign((context: JobContext) => handler(context), { needs });

/** A handler throws it when trying again is pointless: the job is failed at once. */
export class JobRefused extends Error {
  override readonly name = "JobRefused";
}

/** The job belongs to another process now. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

export interface JobRunnerOptions {
  // biome-ignore lint/suspicious/noExplicitAny: a runner serves stores of both databases and needs no transaction.
  stores: JobStore<any>[];
  handlers: Record<string, JobHandler>;
  clock: Clock;
  log: Logger;
  tracing?: Tracing | undefined;
  /** How long a process may be silent before its work is taken over, in milliseconds. */
  leaseMs?: number;
  /** How often the databases are asked when nothing woke the runner, in milliseconds. */
  pollMs?: number;
  /** How many jobs run at once in this process. */
  concurrency?: number;
  /** After how long without a look it counts as standing still, in milliseconds. */
  stallMs?: number;
}

export interface JobRunner {
  start(): void;
  /** Looks for work now; called after a change enqueued some. */
  wake(): void;
  /** Takes no more work, lets what runs come to its next step, and returns. */
  stop(): Promise<void>;
  /** Whether it has not looked for work for much longer than it should: a database that never answers, say. */
  isStalled(): boolean;
  /** Runs everything that is due, one by one, until nothing is. @returns how many jobs ran */
  runDue(): Promise<number>;
}

/** Wait before try `attempts + 1`, in milliseconds: 2 s doubled each time, at most 15 minutes. */
const backoff = (attempts: number): number => Math.min(15 * MINUTE, SECOND * 2 ** attempts);

/** What every line about a job says. */
const linesOf = ({ id, kind, requestId }: LeasedJob) => ({
  ...(requestId === null ? {} : { requestId }),
  job: id,
  kind,
});

/** What a process plans by itself, every second perhaps, is of interest to few. */
const logDone = (log: Logger, job: LeasedJob, started: number): void =>
  log[job.requestId === null ? "debug" : "info"](
    { ...linesOf(job), attempt: job.attempts, ms: Math.round(performance.now() - started) },
    "job",
  );

/** Shares the jobs of several stores between any number of processes. */
export function createJobRunner(options: JobRunnerOptions): JobRunner {
  const { stores, handlers, clock, log, tracing } = options;
  const leaseMs = options.leaseMs ?? 30 * SECOND;
  const pollMs = options.pollMs ?? SECOND;
  const concurrency = options.concurrency ?? 4;
  const stallMs = options.stallMs ?? MINUTE;
  let looked = performance.now();
  const kinds = Object.keys(handlers);
  const stopping = new AbortController();
  /** What runs, and of which kind it is. */
  const running = new Map<Promise<void>, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let started = false;
  let looking = false;
  let lookAgain = false;
  /** Stores that may hold due work. */
  const open = new Set<JobStore<unknown>>();

  async function run<Tx>(store: JobStore<Tx>, job: LeasedJob): Promise<void> {
    const started = performance.now();
    const lost = new AbortController();
    const { needs } = handlers[job.kind] ?? {};
    const heartbeat = setInterval(() => {
      store.renew(job, after(clock.now(), leaseMs)).then(
        (held) => held || lost.abort(new LeaseLost()),
        (error) => log.warn({ err: error, job: job.id }, "job lease not renewed; trying again"),
      );
    }, leaseMs / 3);
    try {
      // Every earlier try ended its process: nobody was left to record it as failed.
      if (job.attempts > job.maxAttempts) {
        throw new JobRefused(`given up: its process ended in each of ${job.maxAttempts} tries`);
      }
      const handler = handlers[job.kind];
      if (!handler) throw new JobRefused(`no handler for ${job.kind}`);
      const work = () =>
        handler({
          job,
          signal: AbortSignal.any([lost.signal, stopping.signal]),
          saveProgress: async (progress) => {
            if (!(await store.saveProgress(job, progress))) throw new LeaseLost();
          },
        });
      await (tracing ? tracing.job(job, work) : inScope({ requestId: job.requestId, job: job.id }, work));
      await store.finish(job, { status: "done" }, clock.now());
      logDone(log, job, started);
    } catch (error) {
      if (error instanceof LeaseLost || lost.signal.aborted) {
        log.warn(linesOf(job), "job was taken over by another process");
        return;
      }
      const message = errorText(error);
      const leftOff = stopping.signal.aborted && error === stopping.signal.reason;
      // What says only that the service is away is no try of this job.
      const isAway = needs !== undefined && needs.state() !== "closed";
      const last = !leftOff && (error instanceof JobRefused || (!isAway && job.attempts >= job.maxAttempts));
      if (leftOff) log.info(linesOf(job), "job left off: this process stops");
      else {
        log[last ? "error" : "warn"]({ err: error, ...linesOf(job), attempt: job.attempts }, "job failed");
      }
      const now = clock.now();
      await store.finish(
        job,
        last
          ? { status: "failed", error: message }
          : {
              status: "waiting",
              runAt: stopping.signal.aborted ? now : after(now, backoff(job.attempts)),
              error: message,
              attempts: isAway ? job.attempts - 1 : job.attempts,
            },
        now,
      );
    } finally {
      clearInterval(heartbeat);
    }
  }

  const mayStart = (kind: string): boolean => {
    const { atOnce = concurrency, needs } = handlers[kind] ?? {};
    const others = [...running.values()];
    if (others.filter((other) => other === kind).length >= atOnce) return false;
    if (needs === undefined) return true;
    const using = others.filter((other) => handlers[other]?.needs === needs).length;
    const state = needs.state();
    if (state !== "closed") return state === "half-open" && using === 0;
    // A service that says nothing would hold every place until it is given up.
    return using < Math.max(1, concurrency - 1);
  };

  const leaseFrom = (store: JobStore<unknown>) =>
    store.lease(kinds.filter(mayStart), clock.now(), after(clock.now(), leaseMs));

  /**
   * Fills the free places with due work, one job of each database in turn: neither a backlog in one nor its being
   * down keeps the other's jobs waiting.
   */
  async function look(): Promise<void> {
    for (const store of open) {
      if (running.size >= concurrency || stopping.signal.aborted) return;
      // Opened again by whoever wakes the runner while it is being asked, and behind the other by what it gives.
      open.delete(store);
      const job = await leaseFrom(store).catch((error) => {
        log.warn({ err: error }, "looking for jobs failed; trying again");
        return null;
      });
      if (!job) continue;
      open.add(store);
      const work = run(store, job)
        .catch((error) => log.error({ err: error, job: job.id }, "the end of a job was not recorded"))
        .finally(() => {
          running.delete(work);
          // More of its kind may wait there, now that there is a place.
          open.add(store);
          again();
        });
      running.set(work, job.kind);
    }
  }

  function schedule(delay: number) {
    clearTimeout(timer);
    if (started && !stopping.signal.aborted) timer = setTimeout(wake, delay);
  }

  async function tick(): Promise<void> {
    if (looking) {
      lookAgain = true;
      return;
    }
    looking = true;
    try {
      do {
        lookAgain = false;
        await look();
      } while (lookAgain);
    } finally {
      looking = false;
      looked = performance.now();
      // Spread over time, so that many processes do not ask at the same moment.
      schedule(jitter(0.75 * pollMs, 1.25 * pollMs));
    }
  }

  function again() {
    // Whoever wakes it has nothing to do with the jobs that it finds.
    if (started && !stopping.signal.aborted) void inScope(undefined, tick);
  }

  function wake() {
    for (const store of stores) open.add(store);
    again();
  }

  /** Jobs of a kind that nobody here can do would wait for ever, and nobody would know. */
  async function warnOfUnknown(): Promise<void> {
    for (const store of stores) {
      const due = await store.list({ state: "waiting", limit: 100 }, clock.now());
      for (const kind of new Set(
        due.map((job) => job.kind).filter((kind) => !Object.hasOwn(handlers, kind)),
      )) {
        log.error({ kind }, "jobs of a kind that this version does not know are waiting");
      }
    }
  }

  return {
    start() {
      started = true;
      looked = performance.now();
      schedule(0);
      warnOfUnknown().catch((error) => log.warn({ err: error }, "jobs of unknown kinds were not looked for"));
    },
    wake,
    isStalled: () => started && !stopping.signal.aborted && performance.now() - looked > stallMs,
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await Promise.all(running.keys());
    },
    async runDue() {
      let count = 0;
      for (let found = true; found; ) {
        found = false;
        for (const store of stores) {
          const job = await leaseFrom(store);
          if (job) {
            await run(store, job);
            found = true;
            count++;
          }
        }
      }
      return count;
    },
  };
}

/**
 * `WEB_CONCURRENCY` processes that share one port (SO_REUSEPORT): the first process serves nothing itself, it
 * starts the others, starts one that died or hangs again, stops all of them, and lets each tell what all have measured.
 */
import { AppError } from "./lib/errors";
import { within } from "./lib/within";
import type { Logger } from "./telemetry/log";
import { countAbsent, countersOf, type Metrics, type Snapshot } from "./telemetry/metrics";

/** What a worker says to the first process. */
type FromWorker = { listening: true } | { alive: true } | { ask: number } | { snapshot: Snapshot };
/** What it hears: whether it is alive, a request for its measurements, or those of all. */
type ToWorker = { ping: true } | { give: true } | { snapshots: Snapshot[]; answers: number };

/** Wait before a worker that died is started again, in milliseconds: doubled each time, up to the longest. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** A worker that lived this long did not die of its start. */
const LIVED = 10_000;
/** How long measurements of a worker are waited for, in milliseconds: a little more than it may take (`Metrics.gauge`). */
const GATHER_LIMIT = 800;
/** How long a worker waits for the measurements of all, in milliseconds. */
const ASK_LIMIT = 2000;
/** How often each worker is asked whether it is alive, in milliseconds. */
const PING_EVERY = 5000;
/**
 * Questions in a row that a worker leaves unanswered before it is ended: 30 s. Until then the kernel goes on giving it
 * its share of new connections, and nobody answers them. Counted, since a machine that was asleep looks the same by the
 * clock.
 */
const MOST_MISSED = 6;

export interface ClusterOptions {
  count: number;
  /** The program and its arguments, the same for each worker. */
  command: string[];
  /** Environment of the worker with this number, counted from 1. */
  env(worker: number): Record<string, string | undefined>;
  log: Logger;
  /** Time after which a worker that was told to stop is ended, in milliseconds. */
  stopLimit: number;
}

export interface Cluster {
  /** Resolves when every worker listens. */
  listening: Promise<void>;
  /** Resolves with the exit code when all workers have ended. */
  ended: Promise<number>;
  /** Tells all workers to stop; they finish their requests. @param code the exit code, unless it is set already */
  stop(code?: number): void;
}

/** Starts the workers. One that ends before all have listened once ends the whole with its exit code. */
export function startCluster({ count, command, env, log, stopLimit }: ClusterOptions): Cluster {
  const workers = new Map<number, Bun.Subprocess>();
  const up = new Set<number>();
  const listening = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<number>();
  /** What each worker has measured last, and who waits for it. */
  const measured = new Map<Bun.Subprocess, Snapshot>();
  const gathering = new Set<(child: Bun.Subprocess) => void>();
  /** How many questions each has not answered. */
  const missed = new Map<Bun.Subprocess, number>();
  /** What those counted that have ended: a counter that falls is a new one to Prometheus, which adds all of it again. */
  let counted: Snapshot = [];
  let counting = Promise.resolve();
  const restarts = new Set<ReturnType<typeof setTimeout>>();
  let everUp = false;
  let stopping = false;
  let exitCode = 0;

  const runs = ({ exitCode: code, signalCode }: Bun.Subprocess) => code === null && signalCode === null;

  const tell = (worker: number, message: ToWorker) => {
    const child = workers.get(worker);
    // To one that has ended a moment ago `send` throws.
    if (up.has(worker) && child !== undefined && runs(child)) child.send(message);
  };

  /** What all have measured: of one that is late or has ended, what it had counted when it was measured last. */
  const gather = async (): Promise<Snapshot[]> => {
    const late = new Set([...up].flatMap((worker) => workers.get(worker) ?? []));
    const all = Promise.withResolvers<void>();
    const told = (child: Bun.Subprocess) => {
      late.delete(child);
      if (late.size === 0) all.resolve();
    };
    gathering.add(told);
    for (const worker of up) tell(worker, { give: true });
    const timer = setTimeout(all.resolve, GATHER_LIMIT);
    await all.promise;
    clearTimeout(timer);
    gathering.delete(told);
    const snapshots = [...measured].map(([child, snapshot]) =>
      late.has(child) || !runs(child) ? countersOf([snapshot]) : snapshot,
    );
    return Promise.all([countAbsent(late.size, count - up.size), counted, ...snapshots]);
  };

  /** Keeps the counts of a worker that has ended. In turn, and from one place to the other at once. */
  const keepCounts = (child: Bun.Subprocess) => {
    counting = counting.then(async () => {
      counted = await countersOf([counted, measured.get(child) ?? []]);
      measured.delete(child);
    });
  };

  const hear = (worker: number, child: Bun.Subprocess, message: FromWorker) => {
    // What one that has ended said before comes after its counts were added up.
    if (workers.get(worker) !== child) return;
    missed.delete(child);
    if ("listening" in message) {
      up.add(worker);
      if (up.size === count) {
        everUp = true;
        listening.resolve();
      }
    } else if ("ask" in message) {
      gather().then(
        (snapshots) => tell(worker, { snapshots, answers: message.ask }),
        (error) => log.warn({ err: error, worker }, "the processes were not measured"),
      );
    } else if ("snapshot" in message) {
      measured.set(child, message.snapshot);
      for (const told of gathering) told(child);
    }
  };

  /** Ends workers that hang; they are started again. */
  const watch = setInterval(() => {
    for (const worker of up) {
      const child = workers.get(worker);
      if (child === undefined || stopping) continue;
      const times = missed.get(child) ?? 0;
      if (times >= MOST_MISSED) {
        log.error({ worker, seconds: (times * PING_EVERY) / 1000 }, "a worker hangs; ending it");
        child.kill("SIGKILL");
      } else {
        missed.set(child, times + 1);
        tell(worker, { ping: true });
      }
    }
  }, PING_EVERY);

  const start = (worker: number, failures: number) => {
    const began = performance.now();
    const child = Bun.spawn(command, {
      env: env(worker),
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      serialization: "json",
      ipc: (message, from) => hear(worker, from, message as FromWorker),
    });
    workers.set(worker, child);
    void child.exited.then((code) => {
      workers.delete(worker);
      up.delete(worker);
      missed.delete(child);
      keepCounts(child);
      for (const told of gathering) told(child);
      if (stopping) {
        if (workers.size === 0) ended.resolve(exitCode);
        return;
      }
      if (!everUp) return stop(code || 1);
      const again = performance.now() - began > LIVED ? 0 : failures + 1;
      const wait = startLater(worker, again);
      log.error({ worker, exit: child.signalCode ?? code, wait }, "a worker died; starting it again");
    });
  };

  /** @returns the wait, in milliseconds */
  function startLater(worker: number, failures: number): number {
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures);
    const timer = setTimeout(() => {
      restarts.delete(timer);
      try {
        start(worker, failures);
      } catch (error) {
        log.error({ err: error, worker }, "a worker could not be started; trying again");
        startLater(worker, failures + 1);
      }
    }, wait);
    restarts.add(timer);
    return wait;
  }

  function stop(code = 0) {
    exitCode ||= code;
    if (stopping) return;
    stopping = true;
    clearInterval(watch);
    for (const timer of restarts) clearTimeout(timer);
    if (workers.size === 0) ended.resolve(exitCode);
    for (const child of workers.values()) child.kill("SIGTERM");
    setTimeout(() => {
      for (const child of workers.values()) child.kill("SIGKILL");
    }, stopLimit).unref();
  }

  for (let worker = 1; worker <= count; worker++) start(worker, 0);
  return { listening: listening.promise, ended: ended.promise, stop };
}

/**
 * A worker's side, once it listens: it says so, answers for its measurements, and stops when the first
 * process is gone, however that ended.
 */
export function joinCluster(metrics: Metrics, log: Logger, stop: () => void): void {
  const send = (message: FromWorker) => {
    if (process.connected) process.send?.(message);
  };
  const waiting = new Map<number, (snapshots: Snapshot[]) => void>();
  let asked = 0;
  process.on("message", (message: ToWorker) => {
    if ("ping" in message) send({ alive: true });
    else if ("give" in message) {
      metrics.snapshot().then(
        (snapshot) => send({ snapshot }),
        (error) => log.warn({ err: error }, "this process was not measured"),
      );
    } else {
      waiting.get(message.answers)?.(message.snapshots);
    }
  });
  process.on("disconnect", stop);
  metrics.gatherWith(async () => {
    const number = ++asked;
    const answer = Promise.withResolvers<Snapshot[]>();
    waiting.set(number, answer.resolve);
    send({ ask: number });
    try {
      return await within(ASK_LIMIT, "the first process", answer.promise);
    } catch (cause) {
      // Its own measurements alone would be counters that fall: no answer is one that does not lie.
      throw new AppError("service_unavailable", "The processes were not measured in time.", {
        retryAfter: 5,
        cause,
      });
    } finally {
      waiting.delete(number);
    }
  });
  send({ listening: true });
}

/**
 * `WEB_CONCURRENCY` processes that share one port (SO_REUSEPORT): the first process serves nothing itself, it
 * starts the others, starts one that died again, stops all of them, and lets each tell what all have measured.
 */
import type { Logger } from "./telemetry/log";
import type { Metrics, Snapshot } from "./telemetry/metrics";

/** What a worker says to the first process. */
type FromWorker = { listening: true } | { ask: number } | { snapshot: Snapshot; answers: number };
/** What it hears: a request for its measurements, or those of all. */
type ToWorker = { give: number } | { snapshots: Snapshot[]; answers: number };

/** Wait before a worker that died is started again, in milliseconds: doubled each time, up to the longest. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** A worker that lived this long did not die of its start. */
const LIVED = 10_000;
/** How long measurements of a worker are waited for, in milliseconds; one that hangs is left out. */
const GATHER_LIMIT = 1000;

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
  const gathering = new Map<number, (worker: number, snapshot: Snapshot) => void>();
  const restarts = new Set<ReturnType<typeof setTimeout>>();
  let everUp = false;
  let stopping = false;
  let exitCode = 0;
  let requests = 0;

  const tell = (worker: number, message: ToWorker) => {
    const child = workers.get(worker);
    // To one that has ended a moment ago `send` throws.
    if (up.has(worker) && child?.exitCode === null && child.signalCode === null) child.send(message);
  };

  const gather = async (): Promise<Snapshot[]> => {
    const number = ++requests;
    const asked = new Set(up);
    const snapshots: Snapshot[] = [];
    const all = Promise.withResolvers<void>();
    gathering.set(number, (worker, snapshot) => {
      snapshots.push(snapshot);
      asked.delete(worker);
      if (asked.size === 0) all.resolve();
    });
    for (const worker of asked) tell(worker, { give: number });
    await Promise.race([all.promise, Bun.sleep(GATHER_LIMIT)]);
    gathering.delete(number);
    return snapshots;
  };

  const hear = (worker: number, message: FromWorker) => {
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
    } else gathering.get(message.answers)?.(worker, message.snapshot);
  };

  const start = (worker: number, failures: number) => {
    const began = performance.now();
    const child = Bun.spawn(command, {
      env: env(worker),
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      serialization: "json",
      ipc: (message) => hear(worker, message as FromWorker),
    });
    workers.set(worker, child);
    void child.exited.then((code) => {
      workers.delete(worker);
      up.delete(worker);
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
    if ("give" in message) {
      metrics.snapshot().then(
        (snapshot) => send({ snapshot, answers: message.give }),
        (error) => log.warn({ err: error }, "this process was not measured"),
      );
    } else {
      waiting.get(message.answers)?.(message.snapshots);
      waiting.delete(message.answers);
    }
  });
  process.on("disconnect", stop);
  metrics.gatherWith(
    () =>
      new Promise((resolve) => {
        waiting.set(++asked, resolve);
        send({ ask: asked });
      }),
  );
  send({ listening: true });
}

import type { Context } from "hono";
import { AggregatorRegistry, Counter, Gauge, type Histogram, Registry } from "prom-client";
import type { Config } from "../config";
import { isPrivateAddress } from "../http/address";
import { endpoint, file } from "../http/endpoint";
import { type AppEnv, factory } from "../http/factory";
import type { GuardDeps } from "../http/guards";
import { problem } from "../http/problems";
import { MINUTE } from "../lib/clock";
import { isSameSecret } from "../lib/crypto";
import { within } from "../lib/within";

/** What one process has measured, as it can be sent to another. */
export type Snapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/** The measurements of this process, and of those that share its port. */
export interface Metrics {
  /** Counts a request that came in. @returns to be called once, when it has been answered */
  request(): (method: string, route: string, status: number, seconds: number) => void;
  /**
   * Adds a gauge that is read when somebody asks.
   * @param read values by label. While it takes longer than half a second or throws, the gauge is as it was last, for
   * a minute; then it is not there, since nobody knows what it is
   * @param together how the values of several processes of a port become one: `max` where all see the same, as what
   * a database says, or the worst counts
   */
  gauge(
    name: string,
    help: string,
    label: string,
    read: () => Promise<Record<string, number>>,
    together?: "max" | "sum",
  ): void;
  /**
   * Adds a counter.
   * @param values what its label may be: each is there from the start with 0, since the first event of a series that
   * begins with it is no increase to Prometheus
   * @returns adds one to it, under a value of its label
   */
  counter<Value extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly Value[],
  ): (value: Value) => void;
  snapshot(): Promise<Snapshot>;
  /** Says how the measurements of all processes that share the port are had; without it this one is all. */
  gatherWith(gather: () => Promise<Snapshot[]>): void;
  /** All of them in Prometheus' text format 0.0.4. */
  text(): Promise<string>;
}

/** Upper bounds in seconds: reads take milliseconds, a password 50, a large transaction up to its limit of 5 s. */
export const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** How long a gauge is read for, in milliseconds: what is measured is asked for every few seconds, by one who waits. */
const READ_LIMIT = 500;
/** For how long the last value of a gauge that cannot be read stands for it, in milliseconds. */
const STALE = MINUTE;
/** What an answer was, by the first digit of its status. */
const CLASSES = ["2xx", "3xx", "4xx", "5xx"];
/** Everything else is one label value: a method is whatever a caller writes. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Requests of one method, route and status. */
interface Series {
  labels: { method: string; route: string; status: string };
  /** How many took at most each of the bounds, but longer than the one before; the last: longer than all. */
  counts: number[];
  sum: number;
}

/**
 * A histogram of requests in plain numbers: prom-client's own makes and hashes an object of labels for each, which took
 * longer than the count. What is read of it is what prom-client's would say. Beside it `http_responses_total` has sums
 * by the class of the status, from the start: a route's first answer of a status begins a series of the histogram, and
 * to Prometheus is no increase.
 * @returns counts one request, `seconds` long
 */
export function registerDurations(registry: Registry) {
  const all = new Map<string, Series>();
  const name = "http_request_duration_seconds";
  const valuesOf = ({ labels, counts, sum }: Series) => {
    let below = 0;
    const buckets = counts.map((count, index) => {
      below += count;
      return {
        metricName: `${name}_bucket`,
        value: below,
        labels: { le: BUCKETS[index] ?? "+Inf", ...labels },
      };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, value: sum, labels },
      { metricName: `${name}_count`, value: below, labels },
    ];
  };
  const metric = {
    name,
    get: async () => ({
      name,
      help: "Time from a request's arrival until its answer begins",
      type: "histogram",
      aggregator: "sum",
      values: [...all.values()].flatMap(valuesOf),
    }),
    reset: () => all.clear(),
  };
  registry.registerMetric(metric as unknown as Histogram);
  new Counter({
    name: "http_responses_total",
    help: "Answers by the class of their status",
    labelNames: ["class"],
    registers: [registry],
    collect() {
      this.reset();
      for (const value of CLASSES) this.inc({ class: value }, 0);
      for (const { labels, counts } of all.values())
        this.inc(
          { class: `${labels.status[0]}xx` },
          counts.reduce((sum, count) => sum + count, 0),
        );
    },
  });
  return (method: string, route: string, status: number, seconds: number): void => {
    const key = `${method} ${status} ${route}`;
    let series = all.get(key);
    if (series === undefined) {
      const counts = Array.from({ length: BUCKETS.length + 1 }, () => 0);
      series = { labels: { method, route, status: String(status) }, counts, sum: 0 };
      all.set(key, series);
    }
    const bound = BUCKETS.findIndex((most) => seconds <= most);
    const index = bound === -1 ? BUCKETS.length : bound;
    series.counts[index] = (series.counts[index] ?? 0) + 1;
    series.sum += seconds;
  };
}

const PROCESSES = "aizy_processes";
const PROCESSES_HELP = "Server processes that share the port: measured, late with an answer, or not running";

/** What the first process adds to the measurements of those that answered: how many did not, and why. */
export function countAbsent(late: number, down: number): Snapshot {
  const values = Object.entries({ late, down }).map(([state, value]) => ({ labels: { state }, value }));
  // prom-client's types say a number for `type`, which is this text.
  return [
    { name: PROCESSES, help: PROCESSES_HELP, type: "gauge", aggregator: "sum", values },
  ] as unknown as Snapshot;
}

/**
 * What is left of measurements whose process has ended or does not answer: counters and histograms, which must never
 * fall, added up. Gauges say how something is now.
 */
export const countersOf = (snapshots: Snapshot[]): Promise<Snapshot> =>
  AggregatorRegistry.aggregate(
    snapshots.map((snapshot) => snapshot.filter(({ type }) => String(type) !== "gauge")),
  ).getMetricsAsJSON();

/** A gauge's `read` that answers in time, with what it last was where need be. */
function inTime(read: () => Promise<Record<string, number>>): () => Promise<Record<string, number>> {
  let last: { values: Record<string, number>; at: number } | undefined;
  let running: Promise<void> | undefined;
  return async () => {
    running ??= read()
      .then((values) => {
        last = { values, at: performance.now() };
      })
      .finally(() => {
        running = undefined;
      });
    // Late or failed: it is what it was last, as long as that may stand for it.
    await within(READ_LIMIT, "a gauge", running).catch(() => undefined);
    return last !== undefined && performance.now() - last.at < STALE ? last.values : {};
  };
}

export function createMetrics(): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const observe = registerDurations(registry);
  let open = 0;
  new Gauge({
    name: "http_requests_in_flight",
    help: "Requests being answered",
    registers,
    collect() {
      this.set(open);
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Memory of the server's processes",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Processor time of the server's processes",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: PROCESSES,
    help: PROCESSES_HELP,
    labelNames: ["state"],
    registers,
    collect() {
      this.set({ state: "answered" }, 1);
      // Of the others the first process knows, where there is one.
      this.set({ state: "late" }, 0);
      this.set({ state: "down" }, 0);
    },
  });
  const answered = (method: string, route: string, status: number, seconds: number): void => {
    open--;
    observe(METHODS.has(method) ? method : "other", route, status, seconds);
  };
  let gather = async () => [await registry.getMetricsAsJSON()];
  return {
    request() {
      open++;
      return answered;
    },
    gauge(name, help, label, read, together = "max") {
      const readInTime = inTime(read);
      new Gauge({
        name,
        help,
        labelNames: [label],
        aggregator: together,
        registers,
        async collect() {
          const values = await readInTime();
          this.reset();
          for (const [value, number] of Object.entries(values)) this.labels(value).set(number);
        },
      });
    },
    counter(name, help, label, values) {
      const counter = new Counter({ name, help, labelNames: [label], registers });
      for (const value of values) counter.labels(value).inc(0);
      return (value) => counter.labels(value).inc();
    },
    snapshot: () => registry.getMetricsAsJSON(),
    gatherWith(other) {
      gather = other;
    },
    text: async () => AggregatorRegistry.aggregate(await gather()).metrics(),
  };
}

/**
 * /metrics, for Prometheus: with METRICS_TOKEN to whoever sends it. Without it they exist in development alone, and
 * there for private addresses that ask directly: a proxy need not say that it is one, so an address proves nothing.
 */
export const metricsRoutes = ({
  config,
  metrics,
  ...deps
}: GuardDeps & { config: Config; metrics: Metrics }) => {
  const mayRead = (c: Context<AppEnv>): boolean => {
    if (config.metricsToken !== undefined)
      return isSameSecret(c.req.header("authorization") ?? "", `Bearer ${config.metricsToken}`);
    const proxied = ["x-forwarded-for", "forwarded", "via"].some((name) => c.req.header(name) !== undefined);
    return config.environment !== "production" && !proxied && isPrivateAddress(c.get("ip"));
  };
  return factory.createApp().get(
    "/",
    endpoint(deps, {
      id: "readMetrics",
      summary: "Measurements for Prometheus",
      tag: "Health",
      success: { 200: file("text/plain") },
      errors: ["not_found"],
    }),
    async (c) => {
      if (!mayRead(c))
        return problem(c, "not_found", "Measurements are for who sends METRICS_TOKEN as a bearer token.");
      return c.body(await metrics.text(), 200, {
        "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
        "Cache-Control": "no-store",
      });
    },
  );
};

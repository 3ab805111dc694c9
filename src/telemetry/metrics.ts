import type { Context } from "hono";
import { AggregatorRegistry, Counter, Gauge, type Histogram, Registry } from "prom-client";
import type { Config } from "../config";
import { isPrivateAddress } from "../http/address";
import { endpoint, file } from "../http/endpoint";
import { type AppEnv, factory } from "../http/factory";
import type { GuardDeps } from "../http/guards";
import { problem } from "../http/problems";
import { isSameSecret } from "../lib/crypto";

/** What one process has measured, as it can be sent to another. */
export type Snapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/** The measurements of this process, and of those that share its port. */
export interface Metrics {
  /** Counts a request that came in. @returns to be called once, when it has been answered */
  request(): (method: string, route: string, status: number, seconds: number) => void;
  /**
   * Adds a gauge that is read when somebody asks.
   * @param read values by label; what it throws leaves the gauge as it was
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
  /** Adds a counter. @returns adds one to it, under a value of its label */
  counter(name: string, help: string, label: string): (value: string) => void;
  snapshot(): Promise<Snapshot>;
  /** Says how the measurements of all processes that share the port are had; without it this one is all. */
  gatherWith(gather: () => Promise<Snapshot[]>): void;
  /** All of them in Prometheus' text format 0.0.4. */
  text(): Promise<string>;
}

/** Upper bounds in seconds: reads take milliseconds, a password 50, a large transaction up to its limit of 5 s. */
export const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
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
 * longer than the count. What is read of it is what prom-client's would say.
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
    name: "aizy_processes",
    help: "Server processes that share the port",
    registers,
    collect() {
      this.set(1);
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
      new Gauge({
        name,
        help,
        labelNames: [label],
        aggregator: together,
        registers,
        async collect() {
          const values = await read().catch(() => ({}));
          for (const [value, number] of Object.entries(values)) this.labels(value).set(number);
        },
      });
    },
    counter(name, help, label) {
      const counter = new Counter({ name, help, labelNames: [label], registers });
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

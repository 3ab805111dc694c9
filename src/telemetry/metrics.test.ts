import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AggregatorRegistry, Histogram, Registry } from "prom-client";
import { useTestApp } from "../../test/app";
import { createApp } from "../app";
import { isPrivateAddress } from "../http/address";
import { BUCKETS, countAbsent, countersOf, createMetrics, registerDurations } from "./metrics";
import { measureProcess } from "./process";

const t = useTestApp();

const measurements = async () => {
  const answer = await t.request("/metrics");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return answer.text();
};
/** The value of the series with these labels, in any order of the labels. */
const seriesOf = (text: string, name: string, labels: Record<string, string>) => {
  const line = text
    .split("\n")
    .find(
      (row) =>
        row.startsWith(`${name}{`) &&
        Object.entries(labels).every(([label, value]) => row.includes(`${label}="${value}"`)),
    );
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
};

describe("/metrics", () => {
  test("a histogram of requests by method, route and status", async () => {
    const labels = { method: "GET", route: "/api/products/:id", status: "404" };
    for (const id of ["01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002"]) {
      expect((await t.request(`/api/products/${id}`)).status).toBe(404);
    }
    const text = await measurements();
    expect(text).toContain("# TYPE http_request_duration_seconds histogram");
    expect(seriesOf(text, "http_request_duration_seconds_count", labels)).toBe(2);
    expect(seriesOf(text, "http_request_duration_seconds_bucket", { ...labels, le: "+Inf" })).toBe(2);
    expect(seriesOf(text, "http_request_duration_seconds_sum", labels)).toBeGreaterThan(0);
    expect(text).toMatch(/^process_resident_memory_bytes \d{7,}$/m);
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(seriesOf(text, "aizy_processes", { state: "answered" })).toBe(1);
    expect(seriesOf(text, "aizy_processes", { state: "late" })).toBe(0);
    // Itself: it is being answered.
    expect(text).toMatch(/^http_requests_in_flight 1$/m);
  });

  test("answers by class are there before the first of them", async () => {
    const classes = (text: string) =>
      ["2xx", "3xx", "4xx", "5xx"].map((name) => seriesOf(text, "http_responses_total", { class: name }));
    const before = classes(await measurements());
    expect(before[3]).toBe(0);
    await t.request("/api/products/01a00000-0000-7000-8000-000000000001");
    // The look before is an answer too.
    const [good = 0, moved = 0, wrong = 0] = before;
    expect(classes(await measurements())).toEqual([good + 1, moved, wrong + 1, 0]);
  });

  test("what a caller writes never becomes a label", async () => {
    for (const path of ["/nowhere-at-all", "/api/products/%22%7Devil", "/wp-login.php"])
      await t.request(path);
    await t.request("/api/products", { method: "PROPFIND" });
    const text = await measurements();
    expect(text).not.toMatch(/nowhere-at-all|evil|wp-login/i);
    expect(seriesOf(text, "http_request_duration_seconds_count", { method: "other" })).toBe(1);
  });

  test.each(["x-forwarded-for", "forwarded", "via"])(
    "through a proxy (%s) it is not there",
    async (header) => {
      const answer = await t.request("/metrics", { headers: { [header]: "10.0.0.1" } });
      expect(answer.status).toBe(404);
      expect(await answer.text()).not.toContain("http_request");
    },
  );

  test("for a caller from outside it is not there", async () => {
    const from = (address: string) =>
      t.app.request("/metrics", {}, { server: { requestIP: () => ({ address }) } });
    expect((await from("203.0.113.7")).status).toBe(404);
    expect((await from("2001:db8::1")).status).toBe(404);
    expect((await from("10.1.2.3")).status).toBe(200);
    expect((await from("::ffff:192.168.1.1")).status).toBe(200);
  });
});

describe("/metrics in production", () => {
  const asProduction = async (metricsToken: string | undefined, headers: Record<string, string>) => {
    const config = { ...t.deps.config, environment: "production" as const, metricsToken };
    const answer = await createApp({ ...t.deps, config }).request(
      "/metrics",
      { headers },
      { server: { requestIP: () => ({ address: "127.0.0.1" }) } },
    );
    return [answer.status, (await answer.text()).includes("http_request")];
  };
  const token = "a-token-of-metrics";
  const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

  test("is there for who sends the token, also through a proxy", async () => {
    expect(await asProduction(token, bearer(token))).toEqual([200, true]);
    expect(await asProduction(token, { ...bearer(token), "x-forwarded-for": "203.0.113.7" })).toEqual([
      200,
      true,
    ]);
  });

  test.each<Record<string, string>>([
    {},
    bearer("another"),
    bearer(`${token}x`),
    bearer(""),
    { authorization: token },
  ])("is not there for %j", async (headers) => {
    expect(await asProduction(token, headers)).toEqual([404, false]);
  });

  test("without a token is there for nobody, however near: a proxy need not say that it is one", async () => {
    expect(await asProduction(undefined, {})).toEqual([404, false]);
    expect(await asProduction(undefined, bearer("undefined"))).toEqual([404, false]);
  });
});

test("a process says how busy its connections, hashes and event loop are", async () => {
  const hashing = t.deps.passwords.hash("some password");
  expect(t.deps.passwords.load()).toEqual({ running: 1, waiting: 0 });
  await hashing;
  expect(t.deps.passwords.load()).toEqual({ running: 0, waiting: 0 });
  const passwords = { ...t.deps.passwords, load: () => ({ running: 2, waiting: 3 }) };
  measureProcess({ ...t.deps, passwords });
  const text = await measurements();
  for (const name of ["aizy_mysql_connections", "aizy_mongodb_connections"]) {
    expect(seriesOf(text, name, { state: "used" })).toBeGreaterThanOrEqual(0);
    expect(seriesOf(text, name, { state: "waiting" })).toBe(0);
  }
  expect(seriesOf(text, "aizy_password_hashes", { state: "running" })).toBe(2);
  expect(seriesOf(text, "aizy_password_hashes", { state: "waiting" })).toBe(3);
  // The measure of it is taken by a timer of 20 ms, from one of its turns to the next.
  await Bun.sleep(100);
  const until = Date.now() + 300;
  while (Date.now() < until);
  await Bun.sleep(50);
  expect(seriesOf(await measurements(), "aizy_event_loop_lag_seconds", { of: "process" })).toBeGreaterThan(
    0.2,
  );
  await t.deps.mail.send({ to: "a@example.com", subject: "", text: "", html: "" });
  expect(seriesOf(await measurements(), "aizy_mails_total", { outcome: "sent" })).toBeGreaterThan(0);
});

describe("what is measured", () => {
  test("a counter is there with 0 for each value of its label", async () => {
    const metrics = createMetrics();
    const count = metrics.counter("a_total", "Of this test", "of", ["x", "y"]);
    count("y");
    expect(await metrics.text()).toMatch(/a_total\{of="x"\} 0\na_total\{of="y"\} 1/);
  });

  test("a gauge that takes long or fails is as it was last; the others are not kept from answering", async () => {
    const metrics = createMetrics();
    let read = async (): Promise<Record<string, number>> => ({ a: 1, b: 2 });
    metrics.gauge("slow", "Of this test", "of", () => read());
    metrics.gauge("quick", "Of this test", "of", async () => ({ a: 3 }));
    expect(await metrics.text()).toContain('slow{of="a"} 1\nslow{of="b"} 2');
    const held = Promise.withResolvers<Record<string, number>>();
    read = () => held.promise;
    const late = await metrics.text();
    expect(late).toContain('slow{of="a"} 1\nslow{of="b"} 2');
    expect(late).toContain('quick{of="a"} 3');
    held.resolve({ a: 4 });
    await held.promise;
    read = () => Promise.reject(new Error("away"));
    const after = await metrics.text();
    expect(after).toContain('slow{of="a"} 4');
    expect(after).not.toContain('slow{of="b"}');
  });

  test("a gauge that could never be read is not there", async () => {
    const metrics = createMetrics();
    metrics.gauge("lost", "Of this test", "of", () => Promise.reject(new Error("away")));
    expect(await metrics.text()).not.toContain("lost{");
  });

  test("of processes that are gone counters and histograms stay, gauges do not", async () => {
    const metrics = createMetrics();
    metrics.counter("a_total", "Of this test", "of", ["x"])("x");
    metrics.request()("GET", "/a", 200, 0.01);
    const one = await metrics.snapshot();
    const kept = await countersOf([await countersOf([one]), one]);
    metrics.gatherWith(async () => [kept, one, countAbsent(2, 1)]);
    const text = await metrics.text();
    expect(seriesOf(text, "a_total", { of: "x" })).toBe(3);
    expect(seriesOf(text, "http_request_duration_seconds_count", { route: "/a" })).toBe(3);
    expect(["answered", "late", "down"].map((state) => seriesOf(text, "aizy_processes", { state }))).toEqual([
      1, 2, 1,
    ]);
    expect(Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1])).toBeLessThan(
      1.5 * process.memoryUsage.rss(),
    );
  });
});

/** The sums beside the histogram. */
const BESIDE = "http_responses_total";

test("the histogram says what prom-client's own says, of one process and of several", async () => {
  const request = fc.tuple(
    fc.constantFrom("GET", "POST"),
    fc.constantFrom("/a", '/"b"/:id'),
    fc.constantFrom(200, 404),
    fc.oneof(fc.constantFrom(0, 0.001, 0.0025, 10, 11), fc.double({ min: 0, max: 20, noNaN: true })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 20 }), async (requests) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const observe = registerDurations(ours);
      const histogram = new Histogram({
        name: "http_request_duration_seconds",
        help: "Time from a request's arrival until its answer begins",
        labelNames: ["method", "route", "status"],
        buckets: BUCKETS,
        registers: [theirs],
      });
      for (const [method, route, status, seconds] of requests) {
        observe(method, route, status, seconds);
        histogram.labels(method, route, String(status)).observe(seconds);
      }
      const text = async (registry: Registry, times: number) => {
        const one = await registry.getMetricsAsJSON();
        return AggregatorRegistry.aggregate(Array.from({ length: times }, () => one)).metrics();
      };
      const linesOf = async (registry: Registry, times: number) =>
        (await text(registry, times))
          .split("\n")
          .filter((line) => line !== "" && !line.includes(BESIDE))
          .sort();
      for (const times of [1, 3]) expect(await linesOf(ours, times)).toEqual(await linesOf(theirs, times));
    }),
  );
});

test("private addresses", () => {
  for (const address of [
    "127.0.0.1",
    "10.255.0.1",
    "172.31.0.1",
    "192.168.0.9",
    "::1",
    "fd00::1",
    "fe80::1",
  ]) {
    expect(isPrivateAddress(address)).toBe(true);
  }
  for (const address of ["172.32.0.1", "11.0.0.1", "8.8.8.8", "2a00::1", "::2"]) {
    expect(isPrivateAddress(address)).toBe(false);
  }
});

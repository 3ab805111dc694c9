import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { eventually } from "../../test/processes";
import { MINUTE } from "../lib/clock";
import type { Logger } from "../telemetry/log";
import { discardJob } from "./admin";
import { createJobRunner } from "./runner";

const t = useTestApp();
let admin: SignedInPerson;
beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"] });
});

const call = (path = "", method = "GET", token = admin.accessToken) =>
  t.request(`/api/jobs${path}`, { method, token });
const list = async (query = "") =>
  // biome-ignore lint/suspicious/noExplicitAny: the test reads what it knows.
  ((await (await call(query)).json()) as any).data;

for (const name of ["mysql", "mongo"] as const) {
  describe(`jobs in ${name}`, () => {
    const kind = `test.${name}`;
    const store = () => t.deps.jobs[name];
    const enqueue = async () => {
      const id = t.deps.random.id();
      await store().enqueue({ id, kind, payload: { email: "ann@example.com" }, runAt: t.clock.now() });
      return id;
    };
    const stateOf = async (id: string) =>
      (await list(`?kind=${kind}&limit=100`)).jobs.find((job: { id: string }) => job.id === id)?.state;
    const lease = () => {
      const now = t.clock.now();
      return store().lease([kind], now, new Date(now.getTime() + MINUTE));
    };

    test("wait, run and fail, each told apart; what failed is retried, what nobody wants discarded", async () => {
      const id = await enqueue();
      expect(await stateOf(id)).toBe("waiting");
      const job = await lease();
      if (!job) throw new Error("nothing was due");
      expect(await stateOf(id)).toBe("running");
      // Whoever runs it keeps it.
      for (const [path, method] of [
        [`/${id}/retry`, "POST"],
        [`/${id}`, "DELETE"],
      ] as const) {
        expect((await call(path, method)).status).toBe(404);
      }
      const now = t.clock.now();
      const runAt = new Date(now.getTime() + MINUTE);
      const again = { status: "waiting", runAt, error: "away", attempts: 1 } as const;
      expect(await store().finish(job, again, now)).toBe(true);
      expect(await stateOf(id)).toBe("waiting");
      expect((await call(`/${id}/retry`, "POST")).status).toBe(204);
      const second = await lease();
      expect(second?.attempts).toBe(1);
      if (second) await store().finish(second, { status: "failed", error: "no use" }, now);
      const { jobs, backlog } = await list(`?state=failed&kind=${kind}`);
      expect(jobs).toMatchObject([
        { id, kind, state: "failed", attempts: 1, maxAttempts: 8, reason: "no use" },
      ]);
      expect(backlog.failed).toBeGreaterThan(0);
      expect(JSON.stringify(jobs)).not.toContain("ann@");
      expect((await call(`/${id}/retry`, "POST")).status).toBe(204);
      expect(await stateOf(id)).toBe("waiting");
      expect((await call(`/${id}`, "DELETE")).status).toBe(204);
      expect((await call(`/${id}`, "DELETE")).status).toBe(404);
    });

    test("whose process died wait again, and the lag says since when", async () => {
      const id = await enqueue();
      await lease();
      t.clock.advance(5 * MINUTE);
      expect(await stateOf(id)).toBe("waiting");
      expect((await list()).backlog.lagSeconds).toBeGreaterThanOrEqual(4 * 60);
      admin = await t.signIn({ roles: ["admin"] });
      await call(`/${id}`, "DELETE");
    });
  });
}

describe("a runner", () => {
  const runnerWith = (stores: Parameters<typeof createJobRunner>[0]["stores"], log: Logger) =>
    createJobRunner({ stores, handlers: {}, clock: t.clock, log, pollMs: 5, stallMs: 100 });

  test("that stands still says so, and readiness too", async () => {
    const held = Promise.withResolvers<null>();
    const store = { ...t.deps.jobs.mongo, lease: () => held.promise };
    const runner = runnerWith([store], t.deps.log);
    expect(runner.isStalled()).toBe(false);
    runner.start();
    await eventually(async () => runner.isStalled(), "the runner standing still");
    const { isStalled } = t.deps.jobs;
    t.deps.jobs.isStalled = runner.isStalled;
    const ready = await t.request("/health/ready");
    expect([ready.status, await ready.json()]).toMatchObject([
      503,
      { data: { status: "down", jobs: "down" } },
    ]);
    held.resolve(null);
    await eventually(async () => !runner.isStalled(), "the runner going on");
    expect((await t.request("/health/ready")).status).toBe(200);
    if (isStalled) t.deps.jobs.isStalled = isStalled;
    await runner.stop();
  });

  test("logs jobs of a kind that nobody here can do", async () => {
    const id = t.deps.random.id();
    await t.deps.jobs.mysql.enqueue({ id, kind: "test.unknown", payload: {}, runAt: t.clock.now() });
    const kinds: unknown[] = [];
    const error = (entry: { kind?: string }) => kinds.push(entry.kind);
    const runner = runnerWith([t.deps.jobs.mysql], {
      ...t.deps.log,
      error,
      warn: error,
    } as unknown as Logger);
    runner.start();
    await eventually(async () => kinds.includes("test.unknown"), "a line in the log");
    await runner.stop();
    const metrics = await t.deps.metrics.text();
    expect(metrics).toMatch(/aizy_jobs\{state="waiting"\} [1-9]/);
    expect(metrics).toMatch(/aizy_jobs_lag_seconds\{of="all"\} \d/);
    await t.deps.jobs.mysql.discard(id, t.clock.now());
  });
});

test("who retried or discarded a job is in the audit log; what was refused is not", async () => {
  for (const name of ["mysql", "mongo"] as const) {
    const id = t.deps.random.id();
    await t.deps.jobs[name].enqueue({ id, kind: `test.${name}`, payload: {}, runAt: t.clock.now() });
    expect((await call(`/${id}/retry`, "POST")).status).toBe(204);
    await discardJob(t.deps, null, id);
    expect((await call(`/${id}`, "DELETE")).status).toBe(404);
    await t.runner.runDue();
    const entries = (await t.deps.mysql.on().auditEntry.findMany({ orderBy: { at: "asc" } })).filter(
      ({ detail }) => (detail as { id?: string }).id === id,
    );
    const detail = { id, kind: `test.${name}`, status: "waiting" };
    expect(entries.map((entry) => [entry.action, entry.actorKind, entry.actorId, entry.detail])).toEqual([
      ["job.retried", "user", admin.id, detail],
      ["job.discarded", "system", null, detail],
    ]);
  }
});

test("only who holds jobs:write sees them", async () => {
  const manager = await t.signIn({ roles: ["manager"] });
  expect((await call("", "GET", manager.accessToken)).status).toBe(403);
  expect((await call("?limit=1000")).status).toBe(422);
  expect((await call("?state=lost")).status).toBe(422);
  expect((await call("/constructor", "DELETE")).status).toBe(422);
});

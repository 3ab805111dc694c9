import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { gate } from "../../test/interleave";
import { eventually, type Program, startProgram } from "../../test/processes";
import { createCircuitBreaker } from "../lib/circuit-breaker";
import { MINUTE, SECOND } from "../lib/clock";
import type { JsonValue } from "../lib/json";
import { silentLogger } from "../telemetry/log";
import type { JobStore } from "./jobs";
import { createJobRunner, type JobHandler, JobRefused, LeaseLost, needing } from "./runner";

const t = useTestApp();
/** A hang guard, far above what anything here takes. */
const PATIENCE = 60_000;

/** Both stores; a transaction is never given here but where a test names its database. */
const stores = (): [string, JobStore<never>][] => [
  ["MySQL", t.deps.jobs.mysql as JobStore<never>],
  ["MongoDB", t.deps.jobs.mongo as JobStore<never>],
];
const NAMES = ["MySQL", "MongoDB"];
const storeOf = (name: string) => new Map(stores()).get(name) as JobStore<never>;

/** Jobs that wait, are due or run. */
async function unfinished(store: Pick<JobStore<never>, "backlog">): Promise<number> {
  const { waiting, running } = await store.backlog(t.clock.now());
  return waiting + running;
}

async function enqueue(
  store: JobStore<never>,
  payload: JsonValue = {},
  options: { dedupeKey?: string; maxAttempts?: number; kind?: string } = {},
): Promise<string> {
  const id = t.deps.random.id();
  await store.enqueue({ id, kind: options.kind ?? "test.work", payload, runAt: t.clock.now(), ...options });
  return id;
}

const runnerOf = (handler: JobHandler, options: { leaseMs?: number } = {}) =>
  createJobRunner({
    stores: stores().map(([, store]) => store),
    handlers: { "test.work": handler },
    clock: t.clock,
    log: silentLogger(),
    ...options,
  });

beforeEach(async () => {
  await t.deps.mysql.on().job.deleteMany();
  for (const name of ["jobs", "test_steps"]) await t.deps.mongo.connection.collection(name).deleteMany({});
});

describe.each(NAMES)("jobs in %s", (name) => {
  test("a job runs once and is done", async () => {
    const seen: JsonValue[] = [];
    const id = await enqueue(storeOf(name), { text: "é ☃ 𝒳", list: [1, null] });
    const runner = runnerOf(async ({ job }) => void seen.push(job.payload));
    expect(await runner.runDue()).toBe(1);
    expect(await runner.runDue()).toBe(0);
    expect(seen).toEqual([{ text: "é ☃ 𝒳", list: [1, null] }]);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "done", lastError: null });
  });

  test("one that fails is tried again later, each time later, and in the end is failed with its reason", async () => {
    let tries = 0;
    const id = await enqueue(storeOf(name), {}, { maxAttempts: 3 });
    const runner = runnerOf(async () => {
      tries++;
      throw new Error(`broken ${tries}`);
    });
    expect(await runner.runDue()).toBe(1);
    expect(await runner.runDue()).toBe(0);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "waiting", lastError: "broken 1" });
    t.clock.advance(2 * SECOND);
    expect(await runner.runDue()).toBe(1);
    t.clock.advance(2 * SECOND);
    expect(await runner.runDue()).toBe(0);
    t.clock.advance(15 * MINUTE);
    expect(await runner.runDue()).toBe(1);
    t.clock.advance(24 * 60 * MINUTE);
    expect(await runner.runDue()).toBe(0);
    expect(tries).toBe(3);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "failed", lastError: "broken 3" });
  });

  test("a handler that refuses fails the job at once", async () => {
    const id = await enqueue(storeOf(name));
    await runnerOf(() => Promise.reject(new JobRefused("pointless"))).runDue();
    expect(await storeOf(name).find(id)).toMatchObject({ status: "failed", lastError: "pointless" });
  });

  test("what was done is found again by the next try", async () => {
    const id = await enqueue(storeOf(name));
    const found: JsonValue[] = [];
    const runner = runnerOf(async ({ job, saveProgress }) => {
      found.push(job.progress);
      await saveProgress({ step: found.length });
      if (found.length < 3) throw new Error("not yet");
    });
    for (let n = 0; n < 3; n++) {
      await runner.runDue();
      t.clock.advance(MINUTE);
    }
    expect(found).toEqual([null, { step: 1 }, { step: 2 }]);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "done" });
  });

  test("a lease that ended is taken over, and the one that lost it can write no more", async () => {
    const store = storeOf(name);
    await enqueue(store);
    const lease = () =>
      store.lease(["test.work"], t.clock.now(), new Date(t.clock.now().getTime() + 30 * SECOND));
    const first = await lease();
    expect(await lease()).toBeNull();
    t.clock.advance(31 * SECOND);
    const second = await lease();
    if (!first || !second) throw new Error("no lease was given");
    expect(second.id).toBe(first.id);
    expect(second.fence).toBeGreaterThan(first.fence);
    expect(await store.renew(first, t.clock.now())).toBe(false);
    expect(await store.saveProgress(first, "of the first")).toBe(false);
    expect(await store.finish(first, { status: "done" }, t.clock.now())).toBe(false);
    expect(await store.saveProgress(second, "of the second")).toBe(true);
    expect(await store.finish(second, { status: "done" }, t.clock.now())).toBe(true);
    expect(await store.find(first.id)).toMatchObject({ status: "done", progress: "of the second" });
  });

  test("many that ask at once get each job once", async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => enqueue(storeOf(name))));
    const until = new Date(t.clock.now().getTime() + 30 * SECOND);
    const leased: string[] = [];
    for (let round = 0; round < 20 && leased.length < 20; round++) {
      const got = await Promise.all(
        Array.from({ length: 10 }, () => storeOf(name).lease(["test.work"], t.clock.now(), until)),
      );
      leased.push(...got.flatMap((job) => (job ? [job.id] : [])));
    }
    expect(leased.sort()).toEqual(ids.sort());
  });

  test("a second job with the same key is not made, however many make it", async () => {
    await Promise.all(
      Array.from({ length: 10 }, () => enqueue(storeOf(name), {}, { dedupeKey: "daily:2026-01-01" })),
    );
    expect(await unfinished(storeOf(name))).toBe(1);
  });

  test("only kinds that this process knows are taken", async () => {
    const id = await enqueue(storeOf(name), {}, { kind: "test.unknown" });
    expect(await runnerOf(async () => {}).runDue()).toBe(0);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "waiting" });
  });

  test("a job that ends its process each time is given up, not tried for ever", async () => {
    const store = storeOf(name);
    const id = await enqueue(store, {}, { maxAttempts: 2 });
    for (let n = 0; n < 2; n++) {
      // As a process that dies: the lease is taken and nothing is recorded.
      await store.lease(["test.work"], t.clock.now(), new Date(t.clock.now().getTime() + SECOND));
      t.clock.advance(2 * SECOND);
    }
    let ran = false;
    await runnerOf(async () => {
      ran = true;
    }).runDue();
    expect(ran).toBe(false);
    expect(await store.find(id)).toMatchObject({
      status: "failed",
      lastError: "given up: its process ended in each of 2 tries",
    });
  });

  test("saving progress after the lease was lost stops the handler and records nothing", async () => {
    const store = storeOf(name);
    const id = await enqueue(store);
    let thrown: unknown;
    await runnerOf(async ({ saveProgress }) => {
      t.clock.advance(5 * MINUTE);
      await store.lease(["test.work"], t.clock.now(), new Date(t.clock.now().getTime() + MINUTE));
      await saveProgress("too late").catch((error) => {
        thrown = error;
        throw error;
      });
    }).runDue();
    expect(thrown).toBeInstanceOf(LeaseLost);
    expect(await store.find(id)).toMatchObject({ status: "waiting", progress: null, lastError: null });
  });
});

describe("two databases", () => {
  const started = (list: JobStore<never>[], handler: JobHandler, concurrency = 4) => {
    const runner = createJobRunner({
      stores: list,
      handlers: { "test.work": handler },
      clock: t.clock,
      log: silentLogger(),
      pollMs: 20,
      concurrency,
    });
    runner.start();
    return runner;
  };

  test("one that is down does not keep the other's jobs waiting", async () => {
    const broken = { ...storeOf("MySQL"), lease: () => Promise.reject(new Error("down")) };
    const id = await enqueue(storeOf("MongoDB"));
    const runner = started([broken, storeOf("MongoDB")], async () => {});
    await eventually(
      async () => (await storeOf("MongoDB").find(id))?.status === "done",
      "the job of the other database",
    );
    await runner.stop();
  }, 60_000);

  test("a kind that may run once at a time leaves the other places to other kinds", async () => {
    const slow = gate();
    let encoding = 0;
    let most = 0;
    const ran: string[] = [];
    const encode = async () => {
      most = Math.max(most, ++encoding);
      await slow.wait();
      encoding--;
      ran.push("slow");
    };
    const runner = createJobRunner({
      stores: stores().map(([, store]) => store),
      handlers: {
        "test.slow": Object.assign(encode, { atOnce: 1 }),
        "test.work": async () => void ran.push("work"),
      },
      clock: t.clock,
      log: silentLogger(),
      pollMs: 50,
    });
    for (const name of NAMES) {
      for (let n = 0; n < 3; n++) await enqueue(storeOf(name), {}, { kind: "test.slow" });
    }
    for (const name of NAMES) await enqueue(storeOf(name));
    runner.start();
    try {
      await slow.reached;
      await eventually(async () => ran.length === 2, "the other kind's jobs");
      expect([ran, most]).toEqual([["work", "work"], 1]);
      slow.open();
      await eventually(async () => ran.length === 8, "the jobs that waited");
      expect(most).toBe(1);
    } finally {
      slow.open();
      await runner.stop();
    }
  });

  test("a backlog in one lets the other's through", async () => {
    for (let index = 0; index < 6; index++) await enqueue(storeOf("MySQL"));
    const id = await enqueue(storeOf("MongoDB"), { late: true });
    const order: boolean[] = [];
    const runner = started(
      [storeOf("MySQL"), storeOf("MongoDB")],
      async ({ job }) => void order.push((job.payload as { late?: boolean }).late === true),
      2,
    );
    await eventually(async () => (await unfinished(storeOf("MySQL"))) === 0, "the backlog");
    await runner.stop();
    expect((await storeOf("MongoDB").find(id))?.status).toBe("done");
    expect(order.indexOf(true)).toBeLessThan(3);
  }, 60_000);
});

describe("a service that jobs need", () => {
  /** A service and its circuit breaker, by the test's clock. */
  function service() {
    const breaker = createCircuitBreaker(undefined, () => t.clock.now().getTime());
    const it = { isAway: true, tries: 0, breaker };
    const send = async () => {
      it.tries++;
      if (it.isAway) {
        breaker.failed(t.clock.now().getTime());
        throw new Error("nobody answers");
      }
      breaker.succeeded();
    };
    return Object.assign(it, { send });
  }
  const runnerWith = (handlers: Record<string, JobHandler>) =>
    createJobRunner({
      stores: stores().map(([, store]) => store),
      handlers,
      clock: t.clock,
      log: silentLogger(),
      pollMs: 20,
    });
  const enqueueEach = async (kinds: string[], times: number) => {
    const ids: [string, string][] = [];
    for (const name of NAMES)
      for (const kind of kinds)
        for (let n = 0; n < times; n++) ids.push([name, await enqueue(storeOf(name), {}, { kind })]);
    return ids;
  };

  test("one job after each pause tries one that is away, others wait with all of their tries, other work goes on", async () => {
    const mail = service();
    let other = 0;
    const runner = runnerWith({
      "test.code": needing(mail.breaker, mail.send),
      "test.notice": needing(mail.breaker, mail.send),
      // Found that there is nothing to send: that says nothing of the service.
      "test.nothing": needing(mail.breaker, async () => {}),
      "test.work": async () => void other++,
    });
    const ids = await enqueueEach(["test.code", "test.notice"], 5);
    await enqueueEach(["test.work"], 5);
    await runner.runDue();
    expect([mail.tries, other]).toEqual([1, 10]);
    // Pauses of 1, 2, 4, 8, 16 and then 30 seconds, where 20 jobs would have made 120 tries in two minutes.
    for (let second = 0; second < 120; second++) {
      t.clock.advance(SECOND);
      if (second % 7 === 0) await enqueue(storeOf("MySQL"), {}, { kind: "test.nothing" });
      await runner.runDue();
    }
    expect(mail.tries).toBeLessThanOrEqual(8);
    expect(mail.tries).toBeGreaterThan(3);
    mail.isAway = false;
    t.clock.advance(15 * MINUTE);
    await runner.runDue();
    for (const [name, id] of ids) expect(await storeOf(name).find(id)).toMatchObject({ status: "done" });
  });

  test.each(NAMES)("however long it is away, no try is counted (%s)", async (name) => {
    const mail = service();
    const runner = runnerWith({ "test.code": needing(mail.breaker, mail.send) });
    const id = await enqueue(storeOf(name), {}, { kind: "test.code", maxAttempts: 2 });
    for (let minute = 0; minute < 60; minute++) {
      t.clock.advance(MINUTE);
      await runner.runDue();
    }
    expect(mail.tries).toBeGreaterThan(10);
    expect(await storeOf(name).find(id)).toMatchObject({ status: "waiting", lastError: "nobody answers" });
    mail.isAway = false;
    t.clock.advance(MINUTE);
    await runner.runDue();
    expect(await storeOf(name).find(id)).toMatchObject({ status: "done" });
  });

  test("a job that it refuses says nothing of the others, and is given up in the end", async () => {
    const { breaker } = service();
    let tries = 0;
    const refuse = async () => {
      tries++;
      breaker.succeeded();
      throw new Error("no such mailbox");
    };
    const runner = runnerWith({ "test.code": needing(breaker, refuse) });
    const ids = await enqueueEach(["test.code"], 3);
    await runner.runDue();
    expect(tries).toBe(6);
    for (let n = 0; n < 10; n++) {
      t.clock.advance(15 * MINUTE);
      await runner.runDue();
    }
    for (const [name, id] of ids) expect(await storeOf(name).find(id)).toMatchObject({ status: "failed" });
  });

  test("one that says nothing leaves a place to other work", async () => {
    const { breaker } = service();
    const silence = gate();
    const ran: string[] = [];
    const runner = runnerWith({
      "test.code": needing(breaker, () => silence.wait()),
      "test.notice": needing(breaker, () => silence.wait()),
      "test.work": async () => void ran.push("work"),
    });
    await enqueueEach(["test.code", "test.notice"], 5);
    runner.start();
    try {
      await silence.reached;
      await enqueueEach(["test.work"], 1);
      await eventually(async () => ran.length === 2, "the jobs that need nothing");
    } finally {
      silence.open();
      await runner.stop();
    }
  }, 60_000);
});

describe("the outbox: a job is made with the change or not at all", () => {
  test("in MySQL", async () => {
    const job = () => ({ id: t.deps.random.id(), kind: "test.work", payload: {}, runAt: t.clock.now() });
    await t.deps.mysql.transaction(async (tx) => t.deps.jobs.mysql.enqueue(job(), tx));
    await t.deps.mysql
      .transaction(async (tx) => {
        await t.deps.jobs.mysql.enqueue(job(), tx);
        throw new Error("undone");
      })
      .catch(() => {});
    expect(await unfinished(t.deps.jobs.mysql)).toBe(1);
  });

  test("in MongoDB", async () => {
    const job = () => ({ id: t.deps.random.id(), kind: "test.work", payload: {}, runAt: t.clock.now() });
    await t.deps.mongo.transaction(async (tx) => t.deps.jobs.mongo.enqueue(job(), tx));
    await t.deps.mongo
      .transaction(async (tx) => {
        await t.deps.jobs.mongo.enqueue(job(), tx);
        throw new Error("undone");
      })
      .catch(() => {});
    expect(await unfinished(t.deps.jobs.mongo)).toBe(1);
  });
});

describe("processes that share the jobs", () => {
  let workers: Program[] = [];
  const work = async (name: string, steps: number) => {
    const worker = startProgram(["test/programs/worker.ts", name, String(steps)]);
    workers.push(worker);
    await worker.line(new RegExp(`${name} ready`));
    return worker;
  };
  afterEach(async () => {
    for (const worker of workers) await worker.kill();
    workers = [];
  });
  const steps = () =>
    t.deps.mongo.connection
      .collection<{ _id: string; runs: number; by: string[] }>("test_steps")
      .find()
      .toArray();
  const done = (store: JobStore<never>, ids: string[]) => async () => {
    const found = await Promise.all(ids.map((id) => store.find(id)));
    return found.every((job) => job?.status === "done");
  };
  const real = () => t.clock.set(new Date());

  test.each(NAMES)(
    "kill -9 in mid-job (%s): another process goes on where it was, no step is left out",
    async (name) => {
      real();
      const store = storeOf(name);
      const id = await enqueue(store, {}, { kind: "test.steps" });
      const first = await work("first", 20);
      await first.line(/first step 7/);
      await first.kill("SIGKILL");
      await work("second", 20);
      await eventually(done(store, [id]), "the end of the job");
      const made = await steps();
      expect(made.map(({ _id }) => _id).sort()).toEqual(
        Array.from({ length: 20 }, (_, n) => `${id}:${n}`).sort(),
      );
      // At most the step that was running when the process died; one that is slow enough to lose its own lease
      // may repeat others.
      const ofBoth = made.filter(({ by }) => by.includes("first") && by.includes("second"));
      expect(ofBoth.length).toBeLessThanOrEqual(1);
      expect(made.some(({ by }) => by.includes("second"))).toBe(true);
    },
    PATIENCE,
  );

  test(
    "a process that hangs loses its work, and when it comes back it does not touch it again",
    async () => {
      real();
      const store = storeOf("MySQL");
      const id = await enqueue(store, {}, { kind: "test.steps" });
      const first = await work("first", 20);
      await first.line(/first step 5/);
      first.child.kill("SIGSTOP");
      const second = await work("second", 20);
      await second.line(/second done/);
      await eventually(done(store, [id]), "the end of the job");
      first.child.kill("SIGCONT");
      await Bun.sleep(500);
      expect(first.output()).not.toContain("first done");
      expect((await steps()).length).toBe(20);
    },
    PATIENCE,
  );

  test(
    "three processes do 40 jobs of both databases, each once",
    async () => {
      real();
      const ids = await Promise.all(
        stores().flatMap(([, store]) =>
          Array.from({ length: 20 }, () => enqueue(store, {}, { kind: "test.steps" })),
        ),
      );
      await Promise.all(["a", "b", "c"].map((name) => work(name, 2)));
      for (const [index, [, store]] of stores().entries()) {
        await eventually(done(store, ids.slice(index * 20, index * 20 + 20)), "the end of all jobs");
      }
      const made = await steps();
      expect(made).toHaveLength(80);
      expect(made.every(({ runs }) => runs === 1)).toBe(true);
      expect(new Set(made.flatMap(({ by }) => by)).size).toBeGreaterThan(1);
    },
    PATIENCE,
  );

  test(
    "SIGTERM lets a job come to its next step; another process ends it",
    async () => {
      real();
      const store = storeOf("MongoDB");
      const id = await enqueue(store, {}, { kind: "test.steps" });
      const first = await work("first", 20);
      await first.line(/first step 3/);
      first.child.kill("SIGTERM");
      expect(await first.ended()).toBe(0);
      await work("second", 20);
      await eventually(done(store, [id]), "the end of the job");
      expect((await steps()).every(({ runs }) => runs === 1)).toBe(true);
    },
    PATIENCE,
  );
});

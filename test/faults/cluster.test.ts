import { afterAll, describe, expect, test } from "bun:test";
import { freePort } from "../../local/processes";
import { eventually, type Program, startProgram, uncaught } from "../processes";

const started: Program[] = [];
afterAll(async () => {
  for (const program of started) await program.kill();
});

/** Starts the server with two processes that share a port. */
async function serveTogether(env: Record<string, string> = {}) {
  const port = await freePort();
  const program = startProgram(["src/index.ts"], { PORT: String(port), WEB_CONCURRENCY: "2", ...env });
  started.push(program);
  return { program, port, address: `http://localhost:${port}` };
}

const isUp = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** The processes that a process started. */
const childrenOf = (pid: number): number[] =>
  Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(pid)])
    .stdout.toString()
    .split("\n")
    .flatMap((line) => (line.trim() === "" ? [] : [Number(line)]));

/** Over a connection of its own each time: one that the kernel gives to a stopped process has no answer. */
async function measurements(address: string): Promise<string> {
  for (;;) {
    const signal = AbortSignal.timeout(3000);
    const answer = await fetch(`${address}/metrics`, { keepalive: false, signal }).catch(() => undefined);
    if (answer?.status === 200) return answer.text();
  }
}
const numberOf = (text: string, series: string) =>
  Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${series} `))
      ?.split(" ")[1],
  );
const inState = (text: string, state: string) => numberOf(text, `aizy_processes{state="${state}"}`);
const processes = async (address: string) => inState(await measurements(address), "answered");
/** What must never fall: counters, and the numbers of histograms. */
const countersIn = (text: string) =>
  new Map(
    text
      .split("\n")
      .filter((line) => /^\w+_(?:total|bucket|count|sum)\b/.test(line))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
const fallen = (before: string, after: string) => {
  const now = countersIn(after);
  return [...countersIn(before)].filter(([series, value]) => (now.get(series) ?? 0) < value);
};
const answers = async (address: string) =>
  (await fetch(`${address}/api/products?limit=1`, { keepalive: false })).status;

describe("WEB_CONCURRENCY: processes that share a port", () => {
  test("both serve and measure together; one that is killed is started again; all stop in good order", async () => {
    const { program, address } = await serveTogether();
    await program.line(/all processes listen on/);
    const workers = childrenOf(program.child.pid);
    expect(workers).toHaveLength(2);

    // Many connections: the kernel spreads them over both.
    const statuses = await Promise.all(Array.from({ length: 60 }, () => answers(address)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    const text = await measurements(address);
    expect(["answered", "late", "down"].map((state) => inState(text, state))).toEqual([2, 0, 0]);
    expect(text).toMatch(/http_request_duration_seconds_count\{[^}]*\/api\/products[^}]*\} 60$/m);
    expect(program.output()).toMatch(/"worker":1,[^\n]*"path":"\/api\/products"/);
    expect(program.output()).toMatch(/"worker":2,[^\n]*"path":"\/api\/products"/);

    process.kill(workers[0] ?? 0, "SIGKILL");
    await program.line(/a worker died; starting it again/);
    expect(await answers(address)).toBe(200);
    await eventually(async () => (await processes(address)) === 2, "the second worker's return");
    expect(childrenOf(program.child.pid)).not.toContain(workers[0] ?? 0);

    const now = childrenOf(program.child.pid);
    program.child.kill("SIGTERM");
    expect(await program.ended()).toBe(0);
    expect(program.output().match(/"msg":"stopped"/g)).toHaveLength(2);
    expect(now.filter(isUp)).toEqual([]);
    await expect(fetch(`${address}/health/live`)).rejects.toThrow();
  }, 120_000);

  test("a worker with an error that nobody caught is started again; the first process with one stops all", async () => {
    const { program, address } = await serveTogether(uncaught("promise"));
    await program.line(/all processes listen on/);
    const [first = 0] = childrenOf(program.child.pid);
    process.kill(first, "SIGUSR2");
    await program.line(/"exit":1,.*a worker died; starting it again/);
    expect(program.output()).toMatch(/"level":"fatal".*"worker":\d.*"msg":"an error that nobody caught"/);
    expect(await answers(address)).toBe(200);
    await eventually(async () => (await processes(address)) === 2, "the worker's return");

    const workers = childrenOf(program.child.pid);
    program.child.kill("SIGUSR2");
    expect(await program.ended()).toBe(1);
    expect(workers.filter(isUp)).toEqual([]);
    await expect(fetch(`${address}/health/live`)).rejects.toThrow();
  }, 120_000);

  test("no counter falls while a process is stopped, killed and started again; gauges are of who answers", async () => {
    const { program, address } = await serveTogether();
    await program.line(/all processes listen on/);
    await Promise.all(Array.from({ length: 60 }, () => answers(address)));
    const before = await measurements(address);
    expect(countersIn(before).size).toBeGreaterThan(20);
    expect(numberOf(before, 'http_responses_total{class="2xx"}')).toBeGreaterThanOrEqual(60);

    const [worker = 0] = childrenOf(program.child.pid);
    process.kill(worker, "SIGSTOP");
    const stopped = await measurements(address);
    expect(["answered", "late", "down"].map((state) => inState(stopped, state))).toEqual([1, 1, 0]);
    expect(fallen(before, stopped)).toEqual([]);
    const memory = (text: string) => numberOf(text, "process_resident_memory_bytes");
    expect(memory(stopped)).toBeLessThan(0.8 * memory(before));

    process.kill(worker, "SIGKILL");
    let last = stopped;
    await eventually(async () => {
      const next = await measurements(address);
      expect(fallen(last, next)).toEqual([]);
      last = next;
      return inState(next, "answered") === 2;
    }, "the second worker's return");
    await program.kill("SIGTERM");
  }, 120_000);

  test.skipIf(!process.env.AIZY_LONG)(
    "a process that hangs is ended and started again",
    async () => {
      const { program, address } = await serveTogether();
      await program.line(/all processes listen on/);
      const [worker = 0] = childrenOf(program.child.pid);
      process.kill(worker, "SIGSTOP");
      await program.line(/"seconds":30,"msg":"a worker hangs; ending it"/);
      await eventually(async () => (await processes(address)) === 2, "the second worker's return");
      expect(isUp(worker)).toBe(false);
      await program.kill("SIGTERM");
    },
    180_000,
  );

  test("when the first process is killed, the others end", async () => {
    const { program, address } = await serveTogether();
    await program.line(/all processes listen on/);
    const workers = childrenOf(program.child.pid);
    await program.kill("SIGKILL");
    await eventually(async () => !workers.some(isUp), "the end of the workers");
    await expect(fetch(`${address}/health/live`)).rejects.toThrow();
  }, 120_000);

  test("a port that is taken, also by others who share it, and a wrong database are said once", async () => {
    const { program, port } = await serveTogether();
    await program.line(/all processes listen on/);
    const second = startProgram(["src/index.ts"], { PORT: String(port), WEB_CONCURRENCY: "2" });
    expect(await second.ended()).toBe(1);
    expect(second.output()).toContain(`Port ${port} is taken.`);

    const closed = new URL(process.env.DATABASE_URL ?? "");
    closed.port = "1";
    const lost = startProgram(["src/index.ts"], {
      WEB_CONCURRENCY: "2",
      PORT: "0",
      DATABASE_URL: closed.href,
    });
    expect(await lost.ended()).toBe(1);
    expect(lost.output().match(/MySQL does not answer at/g)).toHaveLength(1);
  }, 120_000);
});

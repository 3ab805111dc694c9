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

const measurements = async (address: string) => (await fetch(`${address}/metrics`)).text();
const processes = async (address: string) =>
  Number(/^aizy_processes (\d+)$/m.exec(await measurements(address))?.[1]);
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
    expect(text).toMatch(/^aizy_processes 2$/m);
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

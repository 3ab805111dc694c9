import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { createPipe } from "../../test/pipe";
import { eventually } from "../../test/processes";
import { logRequest } from "./log";
import { inBatches, type Sink } from "./output";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const linesOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

/** A sink in memory that takes as much of each write as `take` says. */
function collect(take: (bytes: Uint8Array) => number = (bytes) => bytes.length) {
  const writes: string[] = [];
  const sink: Sink = {
    write(bytes) {
      const taken = take(bytes);
      if (taken > 0) writes.push(Buffer.from(bytes.subarray(0, taken)).toString("latin1"));
      return taken;
    },
  };
  const output = inBatches(sink);
  return {
    writes,
    output,
    log: pino({}, output),
    text: () => Buffer.from(writes.join(""), "latin1").toString(),
  };
}

describe("lines in batches", () => {
  const answered = { requestId: "a", method: "GET", path: "/", ms: 1, from: "loopback" as const };

  test("lines of one moment are one write, in their order", async () => {
    const { writes, log } = collect();
    for (let index = 0; index < 100; index++) log.info({ index });
    expect(writes).toEqual([]);
    while (writes.length === 0) await Bun.sleep(1);
    expect(writes).toHaveLength(1);
    expect(linesOf(writes[0] ?? "").map(({ index }) => index)).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    );
  });

  test("an error is written at once, with what came before it; so is a request that failed", () => {
    const { writes, log } = collect();
    log.info("before");
    log.error("failed");
    expect(writes.join("")).toMatch(/before.*\n.*failed/);
    logRequest(log, { ...answered, status: 500 });
    expect(writes).toHaveLength(2);
    logRequest(log, { ...answered, status: 200 });
    expect(writes).toHaveLength(2);
  });

  test("what waits does not grow without end", () => {
    const { writes, log } = collect();
    for (let index = 0; index < 2000; index++) log.info("x".repeat(100));
    expect(writes.length).toBeGreaterThan(1);
  });

  test("a sink that takes little at a time gets every byte once, in order", async () => {
    let turn = 0;
    const { text, log } = collect((bytes) => (turn++ % 3 === 0 ? 0 : Math.min(bytes.length, 997)));
    for (let index = 0; index < 600; index++) log.info({ index }, "äöü€😀");
    await eventually(async () => text().includes('"index":599'), "the last line");
    expect(linesOf(text()).map(({ index }) => index)).toEqual(Array.from({ length: 600 }, (_, i) => i));
  });

  test("one that takes nothing: 4 MB are held; what is beyond is counted, and said when it takes bytes again", async () => {
    let open = false;
    const { text, log, output } = collect((bytes) => (open ? bytes.length : 0));
    const line = "x".repeat(1000);
    for (let index = 0; index < 8000; index++) log.info({ index }, line);
    // What ends the process is held in any case.
    log.fatal("the end");
    expect(output.lost()).toBeGreaterThan(3000);
    expect(output.lost()).toBeLessThan(5000);
    open = true;
    await eventually(async () => text().includes("were lost"), "the line about it");
    log.info("later");
    await eventually(async () => text().includes("later"), "the line after it");
    const lines = linesOf(text());
    const kept = lines.filter(({ index }) => index !== undefined);
    expect(kept.map(({ index }) => index)).toEqual(Array.from({ length: kept.length }, (_, i) => i));
    expect(lines.slice(kept.length).map(({ msg, lost }) => [msg, lost])).toEqual([
      ["the end", undefined],
      [expect.stringContaining("were lost"), 8000 - kept.length],
      ["later", undefined],
    ]);
    expect(output.lost()).toBe(8000 - kept.length);
  });

  test("one that is gone loses lines, which are counted, and keeps nobody", () => {
    const { log, output } = collect(() => {
      throw new Error("EPIPE");
    });
    for (let index = 0; index < 10; index++) log.error("x");
    expect(output.lost()).toBe(10);
  });
});

describe.skipIf(process.platform !== "linux")("standard output of a process (needs Linux)", () => {
  let folder: string;
  let pipes = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "aizy-output-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const pipe = () => createPipe(join(folder, `pipe-${pipes++}`));

  /** Serves; each request logs a hundred lines of 300 bytes. At SIGTERM it logs that, and ends with 3. */
  const SERVER = `
    const { createLogger, lostLines } = await import("./src/telemetry/log.ts");
    const log = await createLogger({ environment: "production", logLevel: "info" });
    let index = 0;
    const server = Bun.serve({ port: 0, fetch() {
      for (let n = 0; n < 100; n++) log.info({ index: index++ }, "x".repeat(200));
      return Response.json({ index, lost: lostLines(log) });
    } });
    process.on("SIGTERM", () => { log.fatal("the end"); process.exit(3); });
    console.error(server.port, process.pid);`;

  /** Starts the server, or a program that starts it. */
  async function start(stdout: number | "ignore", program = SERVER) {
    const child = Bun.spawn([process.execPath, "-e", program], { stdout, stderr: "pipe", stdin: "ignore" });
    let said = "";
    for await (const chunk of child.stderr) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("\n")) break;
    }
    const [port, pid] = said.split(" ").map(Number);
    const ask = async () =>
      (await (await fetch(`http://localhost:${port}`)).json()) as { index: number; lost: number };
    /** Asks until lines are lost. */
    const fill = async () => {
      const before = (await ask()).lost;
      for (;;) {
        const answer = await ask();
        if (answer.lost > before) return answer;
      }
    };
    return { child, pid: pid ?? 0, ask, fill };
  }

  test("a pipe that nobody reads stops nobody; read again, it has every line that it does not call lost", async () => {
    const into = pipe();
    const { child, ask, fill } = await start(into.writer);
    try {
      await fill();
      const { lost } = await fill();
      expect(lost).toBeGreaterThan(0);
      await eventually(async () => into.read().includes("were lost"), "the line about it");
      const { index } = await ask();
      await eventually(async () => into.read().includes(`"index":${index - 1},`), "the last line");
      const lines = linesOf(into.text());
      const told = lines.reduce((sum, line) => sum + (line.lost ?? 0), 0);
      const indices = lines.flatMap((line) => line.index ?? []);
      expect(indices.length + told).toBe(index);
      expect(indices).toEqual(indices.toSorted((a, b) => a - b));

      // It ends although nobody reads, and with what it still could say.
      await fill();
      const began = performance.now();
      child.kill("SIGTERM");
      expect(await child.exited).toBe(3);
      // After one second; the guard is above what a busy machine adds.
      expect(performance.now() - began).toBeLessThan(10_000);
    } finally {
      child.kill("SIGKILL");
      into.closeReader();
      into.closeWriter();
    }
  });

  test("one that ends while its pipe is full says all when somebody reads within the second", async () => {
    const into = pipe();
    const { child, ask } = await start(into.writer);
    try {
      for (let n = 0; n < 7; n++) await ask();
      const { index } = await ask();
      child.kill("SIGTERM");
      for (; child.exitCode === null; await Bun.sleep(1)) into.read();
      expect(child.exitCode).toBe(3);
      const lines = linesOf(into.read());
      expect(lines.filter((line) => line.index !== undefined)).toHaveLength(index);
      expect(lines.at(-1).msg).toBe("the end");
    } finally {
      child.kill("SIGKILL");
      into.closeReader();
      into.closeWriter();
    }
  });

  test("a socket that nobody reads, as under systemd, stops nobody either", async () => {
    // Bun gives a child a socket for its output, and reads it: so who reads is made to stand still.
    const { child, pid, fill } = await start(
      "ignore",
      `const child = Bun.spawn([process.execPath, "-e", ${JSON.stringify(SERVER)}], { stdout: "pipe", stderr: "inherit" });
      new Response(child.stdout).text();
      process.exit(await child.exited);`,
    );
    try {
      child.kill("SIGSTOP");
      expect((await fill()).lost).toBeGreaterThan(0);
      process.kill(pid, "SIGTERM");
      // It has ended, and waits to be asked for its code.
      const hasEnded = async () => (await Bun.file(`/proc/${pid}/stat`).text()).includes(") Z ");
      await eventually(hasEnded, "the end");
      child.kill("SIGCONT");
      expect(await child.exited).toBe(3);
    } finally {
      if (child.exitCode === null) process.kill(pid, "SIGKILL");
      child.kill("SIGKILL");
    }
  });

  test("a reader that went away costs lines and nothing else", async () => {
    const into = pipe();
    const { child, ask } = await start(into.writer);
    try {
      into.closeReader();
      for (let n = 0; n < 20; n++) await ask();
      await eventually(async () => (await ask()).lost > 1000, "lost lines");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(3);
    } finally {
      child.kill("SIGKILL");
      into.closeWriter();
    }
  });

  const PROGRAM = `
    const { createLogger } = await import("./src/telemetry/log.ts");
    const log = await createLogger({ environment: "production", logLevel: "info" });
    for (let index = 0; index < 500; index++) log.info({ index }, "line");`;

  test.each([
    ["exits", "process.exit(3);", 3],
    ["comes to its end", "", 0],
    ["has thrown", 'throw new Error("a test made this");', 1],
  ])(
    "a process that %s has written everything: to a file, behind what is there, and to a pipe",
    async (_, end, code) => {
      const path = join(folder, `file-${code}`);
      await Bun.write(path, '{"first":true}\n');
      const file = openSync(path, "a");
      const into = pipe();
      for (const stdout of [file, into.writer]) {
        const child = Bun.spawn([process.execPath, "-e", PROGRAM + end], { stdout, stderr: "ignore" });
        if (stdout === into.writer)
          await eventually(async () => into.read().includes('"index":499,'), "the last line");
        expect(await child.exited).toBe(code);
        closeSync(stdout);
      }
      into.closeReader();
      const lines = linesOf(await Bun.file(path).text());
      expect(lines[0]).toEqual({ first: true });
      expect(lines.slice(1).map(({ index }) => index)).toEqual(Array.from({ length: 500 }, (_, i) => i));
      expect(linesOf(into.text())).toHaveLength(500);
    },
  );

  test.skipIf(Bun.which("script") === null)("a terminal shows every line", async () => {
    const command = `${process.execPath} -e '${PROGRAM}'`;
    const child = Bun.spawn(["script", "-qec", command, "/dev/null"], { stdout: "pipe", stderr: "inherit" });
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(linesOf(text.replaceAll("\r", ""))).toHaveLength(500);
  });

  test("a full disk and a closed output end nobody", async () => {
    for (const to of [">/dev/full", ">&-"]) {
      const command = `exec ${process.execPath} -e '${PROGRAM} process.exit(3)' ${to}`;
      const child = Bun.spawn(["sh", "-c", command], { stdout: "pipe", stderr: "ignore" });
      expect([to, await child.exited]).toEqual([to, 3]);
    }
  });
});

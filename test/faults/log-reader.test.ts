/** A server whose log is not read any more. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useTestApp } from "../app";
import { createPipe } from "../pipe";
import { eventually } from "../processes";

useTestApp();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-reader-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.skipIf(process.platform !== "linux")(
  "it goes on answering, ends when it is told to, and says how many lines were lost (needs Linux)",
  async () => {
    const pipe = createPipe(join(folder, "log"));
    const child = Bun.spawn([process.execPath, "src/index.ts"], {
      env: { ...process.env, PORT: "0", LOG_LEVEL: "info", STORAGE_DIR: join(folder, "files") },
      stdin: "ignore",
      stdout: pipe.writer,
      stderr: "inherit",
    });
    pipe.closeWriter();
    try {
      await eventually(async () => pipe.read().includes("listening on"), "the start");
      const address = /listening on (http:\/\/localhost:\d+)/.exec(pipe.text())?.[1];
      // A path of some length, so that few requests are more than a pipe holds and what the server does.
      const ask = () => fetch(`${address}/${"x".repeat(4000)}`).then(({ status }) => status);
      const lost = async () =>
        Number(
          /^aizy_log_lines_lost\{.*\} (\d+)$/m.exec(await (await fetch(`${address}/metrics`)).text())?.[1],
        );
      while ((await lost()) === 0)
        expect(new Set(await Promise.all(Array.from({ length: 100 }, ask)))).toEqual(new Set([404]));
      expect((await fetch(`${address}/health/live`)).status).toBe(200);
      await eventually(async () => pipe.read().includes("were lost"), "the line about it");
      const line =
        pipe
          .text()
          .split("\n")
          .find((candidate) => candidate.includes("were lost")) ?? "";
      expect(JSON.parse(line).lost).toBeGreaterThan(0);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      expect(pipe.read()).toContain('"msg":"stopped"');
    } finally {
      child.kill("SIGKILL");
      pipe.closeReader();
    }
  },
);

/** A server whose log is not read any more. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useTestApp } from "../app";
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
    const path = join(folder, "log");
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    const child = Bun.spawn([process.execPath, "src/index.ts"], {
      env: { ...process.env, PORT: "0", LOG_LEVEL: "info", STORAGE_DIR: join(folder, "files") },
      stdin: "ignore",
      stdout: writer,
      stderr: "inherit",
    });
    closeSync(writer);
    const buffer = Buffer.alloc(65_536);
    let text = "";
    const read = () => {
      try {
        for (let size = 1; size > 0; ) {
          size = readSync(reader, buffer);
          text += buffer.toString("latin1", 0, size);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      }
      return text;
    };
    try {
      await eventually(async () => read().includes("listening on"), "the start");
      const address = /listening on (http:\/\/localhost:\d+)/.exec(text)?.[1];
      // A path of some length, so that few requests are more than a pipe holds and what the server does.
      const ask = () => fetch(`${address}/${"x".repeat(4000)}`).then(({ status }) => status);
      const lost = async () =>
        Number(
          /^aizy_log_lines_lost\{.*\} (\d+)$/m.exec(await (await fetch(`${address}/metrics`)).text())?.[1],
        );
      while ((await lost()) === 0)
        expect(new Set(await Promise.all(Array.from({ length: 100 }, ask)))).toEqual(new Set([404]));
      expect((await fetch(`${address}/health/live`)).status).toBe(200);
      await eventually(async () => read().includes("were lost"), "the line about it");
      const line = text.split("\n").find((candidate) => candidate.includes("were lost")) ?? "";
      expect(JSON.parse(line).lost).toBeGreaterThan(0);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      expect(read()).toContain('"msg":"stopped"');
    } finally {
      child.kill("SIGKILL");
      closeSync(reader);
    }
  },
);

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { COMMANDS } from "../src/commands";
import { copyCheckout, newcomer, PATIENCE, startIn } from "../test/checkout";
import { CHECKOUT } from "./paths";

const { scripts } = JSON.parse(readFileSync(join(CHECKOUT, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
/** Programs that destroy or write and can be called without `bun run`, as the image does. */
const PROGRAMS: string[][] = [
  ["src/db/migrate.ts"],
  ["src/db/migrate.ts", "status"],
  ["src/db/migrate.ts", "reset"],
  ["prisma/seed.ts"],
  ["prisma/check.ts"],
  ["src/users/admin.cli.ts"],
  ["src/products/bulk/import.cli.ts"],
  ["src/products/bulk/export.cli.ts"],
  ["src/inventory/verify.cli.ts"],
  ["src/jobs/jobs.cli.ts"],
  ["src/products/search/rebuild.cli.ts"],
  ["src/analytics/rebuild.cli.ts"],
  ["src/openapi.cli.ts"],
  ["src/demo.ts"],
  ["test/race.ts"],
  ["bench/index.ts"],
];

/** A checkout in which nothing was started yet, beside something that notices whoever comes for a database. */
let checkout = "";
let visits = 0;
let listener: Server;
let env: Record<string, string>;
beforeAll(async () => {
  checkout = copyCheckout();
  mkdirSync(join(checkout, "dist"));
  writeFileSync(join(checkout, "dist/kept"), "");
  listener = createServer((socket) => {
    visits++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as { port: number };
  env = newcomer({
    DATABASE_URL: `mysql://user:word@127.0.0.1:${port}/shop`,
    MONGODB_URI: `mongodb://127.0.0.1:${port}/shop?serverSelectionTimeoutMS=1000`,
  });
});
afterAll(() => {
  listener.close();
  rmSync(checkout, { recursive: true, force: true });
});

/** Runs commands a few at a time. @returns their exit codes and what each wrote */
async function runAll(commands: string[][], environment: Record<string, string>, cwd = checkout) {
  const results: { command: string; code: number; output: string }[] = [];
  const waiting = [...commands];
  const runner = async () => {
    for (let command = waiting.shift(); command; command = waiting.shift()) {
      const run = startIn(command, cwd, environment);
      results.push({ command: command.join(" "), code: await run.end(), output: run.output() });
    }
  };
  await Promise.all([runner(), runner(), runner()]);
  return results;
}

const bunRun = (name: string) => [process.execPath, "run", "--silent", name];

describe("every script of package.json", () => {
  test("has a command line that is read before it does anything", () => {
    const others = Object.keys(scripts).filter((name) => name !== "dev" && name !== "test");
    expect(others.sort()).toEqual(Object.keys(COMMANDS).sort());
    for (const name of others) expect(scripts[name]).toBe(`bun local/script.ts ${name}`);
  });

  test(
    "answers -h and --help with its usage and 0, an unknown option with 2, and touches nothing",
    async () => {
      const names = Object.keys(scripts).map(bunRun);
      for (const word of ["-h", "--help"]) {
        for (const { command, code, output } of await runAll(
          names.map((words) => [...words, word]),
          newcomer(),
        )) {
          expect([command, code, output]).toEqual([command, 0, expect.stringContaining("Usage:")]);
        }
      }
      for (const given of [newcomer(), env]) {
        const wrong = await runAll(
          names.map((words) => [...words, "--no-such-option"]),
          given,
        );
        for (const { command, code, output } of wrong) {
          expect([command, code, output]).toEqual([command, 2, expect.stringContaining("Usage:")]);
          expect(output).toContain("--no-such-option");
        }
      }
      expect(visits).toBe(0);
      expect(existsSync(join(checkout, ".data"))).toBe(false);
      expect(existsSync(join(checkout, "dist/kept"))).toBe(true);
    },
    PATIENCE * 2,
  );

  test(
    "and so does each program that it runs",
    async () => {
      const programs = PROGRAMS.map((words) => [process.execPath, ...words]);
      // From this checkout: tests and benchmarks are not in the copy.
      for (const result of await runAll(
        programs.map((words) => [...words, "--help"]),
        env,
        CHECKOUT,
      )) {
        expect(result).toMatchObject({ code: 0, output: expect.stringContaining("Usage:") });
      }
      for (const result of await runAll(
        programs.map((words) => [...words, "--no-such-option"]),
        env,
        CHECKOUT,
      )) {
        expect(result).toMatchObject({ code: 2, output: expect.stringContaining("--no-such-option") });
      }
      expect(visits).toBe(0);
    },
    PATIENCE * 2,
  );
});

describe("bun run migrate:reset", () => {
  const reset = [...bunRun("migrate:reset")];

  test(
    "of databases that this checkout did not start: not without their name, never in production",
    async () => {
      const refused = [
        { words: [], given: env, why: "--confirm shop" },
        { words: ["--confirm", "another"], given: env, why: '"another" is not what would be erased' },
        {
          words: ["--confirm=shop"],
          given: { ...env, NODE_ENV: "production" },
          why: "NODE_ENV is production",
        },
      ];
      for (const { words, given, why } of refused) {
        const run = startIn([...reset, ...words], checkout, given);
        expect(await run.end()).toBe(1);
        expect(run.output()).toContain(why);
        expect(run.output()).not.toContain("word@");
      }
      expect(visits).toBe(0);
    },
    PATIENCE,
  );
});

test(
  "bin/dev refuses to run where NODE_ENV is production",
  async () => {
    const run = startIn([process.execPath, "local/dev.ts"], checkout, { ...env, NODE_ENV: "production" });
    expect(await run.end()).toBe(1);
    expect(run.output()).toContain("bun run start");
    expect(visits).toBe(0);
  },
  PATIENCE,
);

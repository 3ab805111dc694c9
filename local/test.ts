/**
 * bin/test [--long] [PATH…] — every check and test on the real databases; with paths, only the tests there.
 * `--long` adds what takes minutes (soak, large data, repeated races). Ends with one line that counts.
 */
import { join } from "node:path";
import { readCommandLine } from "../src/cli";
import { provideProgram } from "./packages";
import { CHECKOUT } from "./paths";
import { lines } from "./processes";
import { commandEnv, joinOrExit } from "./run";

const TOOLS = join(CHECKOUT, "node_modules/.bin");
/** Hang guard of a test that names none, in milliseconds: Bun's own five seconds end tests of a busy machine. */
const TEST_LIMIT = 60_000;

/** Passes a stream through and gives its text. */
async function pass(stream: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  let text = "";
  for await (const line of lines(stream)) {
    to.write(`${line}\n`);
    text += `${line}\n`;
  }
  return text;
}

/** Runs one check quietly; its output is shown when it fails. */
async function check(name: string, command: string[], env: Record<string, string>): Promise<boolean> {
  process.stdout.write(`${name.padEnd(12)}`);
  const started = performance.now();
  const child = Bun.spawn(command, {
    cwd: CHECKOUT,
    env: commandEnv(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const passed = (await child.exited) === 0;
  console.log(`${passed ? "passed" : "FAILED"}  ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (!passed) console.log(`${out}${errors}`);
  return passed;
}

/** Runs the tests with their output shown. @returns what Bun's runner counted, and whether it was content */
async function runTests(options: string[], env: Record<string, string>) {
  const child = Bun.spawn([join(TOOLS, "bun"), "test", `--timeout=${TEST_LIMIT}`, ...options], {
    cwd: CHECKOUT,
    env: commandEnv(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stop = (signal: NodeJS.Signals) => child.kill(signal);
  process.on("SIGTERM", stop).on("SIGINT", stop);
  const [, errors] = await Promise.all([
    pass(child.stdout, process.stdout),
    pass(child.stderr, process.stderr),
  ]);
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(errors)?.[1] ?? 0);
  const counts = { passed: count("pass"), failed: count("fail"), skipped: count("skip") };
  return { ...counts, content: (await child.exited) === 0 && counts.passed > 0 };
}

const {
  values: { long = false },
  positionals: paths,
} = readCommandLine({
  usage: "Usage: bin/test [--long] [PATH…]",
  options: { long: { type: "boolean" } },
  words: [0, Number.POSITIVE_INFINITY],
});
const started = performance.now();

const joined = await joinOrExit();
console.log(`Databases   from ${joined.from}`);
if (paths.length === 0) {
  const { CHROMIUM, REDIS_SERVER } = process.env;
  console.log(`Browser     ${await provideProgram(["chromium", "google-chrome"], "chromium", CHROMIUM)}`);
  console.log(`Redis       ${await provideProgram(["redis-server"], "redis-server", REDIS_SERVER)}`);
}

let failedChecks = 0;
if (paths.length === 0) {
  const checks: [string, string[]][] = [
    ["Lint", [join(TOOLS, "biome"), "ci", "--error-on-warnings", "--colors=off", "."]],
    ["Types", [join(TOOLS, "tsc"), "--noEmit", "--checkers", "1"]],
    ["Database", [join(TOOLS, "bun"), "prisma/check.ts", "--scratch"]],
  ];
  for (const [name, command] of checks) if (!(await check(name, command, joined.env))) failedChecks++;
}
const tests = await runTests(paths, { ...joined.env, ...(long ? { AIZY_LONG: "1" } : {}) });
const seconds = ((performance.now() - started) / 1000).toFixed(0);
if (failedChecks > 0) console.log(`${failedChecks} of the checks before the tests failed; see above.`);
if (tests.passed + tests.failed === 0) console.log("No test ran.");
console.log(`Everything took ${seconds} s.`);
console.log(`${tests.passed} passed, ${tests.failed + failedChecks} failed, ${tests.skipped} skipped`);
joined.leave();
process.exit(tests.content && failedChecks === 0 ? 0 : 1);

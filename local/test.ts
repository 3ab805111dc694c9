/**
 * bin/test [--changed | --long] [PATH…] — every check and test on the real databases; with paths, only the tests
 * there, with `--changed` those beside what differs from main. `--long` adds what takes minutes (soak, large data,
 * repeated races, speed beside other stacks). Ends with one line that counts.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { readCommandLine } from "../src/cli";
import { dropLeftovers } from "../test/databases";
import { filterLists } from "../test/filter-lists";
import { provideProgram, provideStorefront, unpackProgram } from "./packages";
import { CHECKOUT } from "./paths";
import { lines } from "./processes";
import { commandEnv, joinOrExit, runCommand } from "./run";

const TOOLS = join(CHECKOUT, "node_modules/.bin");
/** How long each test file took when it was last measured, so that the slowest start first. */
const TIMINGS = "test/timings.json";
/** Hang guard of a test that names none, in milliseconds: Bun's own five seconds end tests of a busy machine. */
const TEST_LIMIT = 180_000;

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
  console.log(
    `${name.padEnd(12)}${passed ? "passed" : "FAILED"}  ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
  if (!passed) console.log(`${out}${errors}`);
  return passed;
}

/** Runs the tests with their output shown. @returns what Bun's runner counted, and whether it was content */
async function runTests(options: string[], env: Record<string, string>) {
  // A worker for each processor. Files of one worker share its modules, which take longer to load than most tests.
  const words = ["test", `--timeout=${TEST_LIMIT}`, "--parallel", "--no-isolate", `--timings=${TIMINGS}`];
  const child = Bun.spawn([join(TOOLS, "bun"), ...words, ...options], {
    cwd: CHECKOUT,
    env: commandEnv({ ...env, AIZY_TEST_WORKERS: "1" }),
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

const git = async (...words: string[]): Promise<string[]> =>
  (await Bun.$`git ${words}`.cwd(CHECKOUT).quiet().text()).split("\n").filter(Boolean);

/**
 * The tests that lie beside what differs from main, committed or not: in the same folder or, where it has none, in
 * the nearest one above. What crosses features is left to the whole run.
 */
async function changedTests(): Promise<string[]> {
  const base = (await git("merge-base", "main", "HEAD"))[0] ?? "HEAD";
  const changed = [
    ...(await git("diff", "--name-only", base)),
    ...(await git("ls-files", "--others", "--exclude-standard")),
  ];
  const tests = await git("ls-files", "--cached", "--others", "--exclude-standard", "*.test.ts");
  const beside = (folder: string): string[] => {
    const here = tests.filter((test) => dirname(test) === folder);
    return here.length > 0 || folder === "." || folder === "src" ? here : beside(dirname(folder));
  };
  const chosen = changed.flatMap((file) => (file.endsWith(".test.ts") ? [file] : beside(dirname(file))));
  return [...new Set(chosen)].filter((test) => existsSync(join(CHECKOUT, test)));
}

const {
  values: { long = false, changed = false },
  positionals,
} = readCommandLine({
  usage: "Usage: bin/test [--changed | --long] [PATH…]",
  options: { long: { type: "boolean" }, changed: { type: "boolean" } },
  words: [0, Number.POSITIVE_INFINITY],
});
const started = performance.now();
const paths = changed ? [...positionals, ...(await changedTests())] : positionals;
if (changed && paths.length === 0) {
  console.log("Nothing that has tests beside it differs from main. `bin/test` runs everything.");
  process.exit(0);
}

const joined = await joinOrExit();
console.log(`Databases   from ${joined.from}`);
const checks: [string, string[]][] = [];
if (paths.length === 0) {
  const { CHROMIUM, REDIS_SERVER, NGINX, CADDY, PROMTOOL } = process.env;
  console.log(`Browser     ${await provideProgram(["chromium", "google-chrome"], "chromium", CHROMIUM)}`);
  console.log(`Redis       ${await provideProgram(["redis-server"], "redis-server", REDIS_SERVER)}`);
  console.log(`nginx       ${await provideProgram(["nginx"], "nginx-light", NGINX)}`);
  console.log(`Caddy       ${await provideProgram(["caddy"], "caddy", CADDY)}`);
  console.log(`promtool    ${await unpackProgram("prometheus", "usr/bin/promtool", PROMTOOL)}`);
  const lists = await provideProgram([], "webext-ublock-origin-chromium", filterLists);
  console.log(`Blockers    ${lists}`);
  console.log(`Storefront  ${await provideStorefront()}`);
  checks.push(["OpenAPI", [join(TOOLS, "bun"), "src/openapi.cli.ts", "--check"]]);
  if (long) checks.push(["Contract", [join(TOOLS, "bun"), "test/contract/tools/check.ts"]]);
  checks.push(["Database", [join(TOOLS, "bun"), "prisma/check.ts", "--scratch"]]);
}
if (paths.length === 0 || changed) {
  checks.push(
    ["Lint", [join(TOOLS, "biome"), "ci", "--error-on-warnings", "--colors=off", "."]],
    ["Types", [join(TOOLS, "tsc"), "--noEmit", "--checkers", "1"]],
  );
}
const outcomes = await Promise.all(checks.map(([name, command]) => check(name, command, joined.env)));
const failedChecks = outcomes.filter((passed) => !passed).length;
const tests = await runTests(paths, { ...joined.env, ...(long ? { AIZY_LONG: "1" } : {}) });
const unreliable =
  long &&
  paths.length === 0 &&
  (await runCommand([join(TOOLS, "bun"), "test/faults/table.ts"], joined.env)) !== 0
    ? 1
    : 0;
if (unreliable > 0) console.log("Faults      FAILED; see above");
// Warns and never fails: how long something takes tells of the machine too.
if (long && paths.length === 0) {
  const code = await runCommand([join(TOOLS, "bun"), "bench/index.ts", "speed", "--quick"], joined.env);
  if (code !== 0) console.log("Speed       not measured; see above");
}
const { DATABASE_URL: databaseUrl = "", MONGODB_URI: mongodbUri = "" } = { ...process.env, ...joined.env };
await dropLeftovers({ databaseUrl, mongodbUri });
const seconds = ((performance.now() - started) / 1000).toFixed(0);
if (failedChecks > 0) console.log(`${failedChecks} of the checks before the tests failed; see above.`);
if (tests.passed + tests.failed === 0) console.log("No test ran.");
console.log(`Everything took ${seconds} s.`);
console.log(
  `${tests.passed} passed, ${tests.failed + failedChecks + unreliable} failed, ${tests.skipped} skipped`,
);
joined.leave();
process.exit(tests.content && failedChecks + unreliable === 0 ? 0 : 1);

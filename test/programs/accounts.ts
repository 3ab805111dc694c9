/**
 * A process that makes exports and erases accounts, for tests that kill it: `bun test/programs/accounts.ts
 * [STORE.METHOD [N]]`. With a method it ends itself by SIGKILL just before the N-th call of it (the first one
 * by default), and so at a known step. Without one it says at SIGTERM the most memory that was held, garbage left
 * out, and the most that the process had, in megabytes.
 */
import { parseConfig } from "../../src/config";
import { createJobRunner } from "../../src/jobs/runner";
import { silentLogger } from "../../src/telemetry/log";
import { accountJobs } from "../../src/users/me/jobs";
import { createDeps } from "../../src/wire";

const [where, nth = "1"] = process.argv.slice(2);
const mail = { send: async () => undefined, close: () => undefined };
const deps = createDeps(parseConfig(process.env), silentLogger(), { mail });
await deps.mongo.connection.asPromise();

if (where !== undefined) {
  const path = where.split(".");
  const method = path.pop() ?? "";
  type Store = Record<string, (...words: unknown[]) => unknown>;
  const store = path.reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], deps) as Store;
  const original = store[method];
  if (!original) throw new Error(`there is no ${where}`);
  let calls = 0;
  store[method] = (...words) => {
    if (++calls === Number(nth)) {
      console.log("killed");
      process.kill(process.pid, "SIGKILL");
    }
    return original.apply(store, words);
  };
}

const runner = createJobRunner({
  stores: [deps.jobs.mysql],
  clock: deps.clock,
  log: deps.log,
  leaseMs: 2000,
  pollMs: 50,
  handlers: accountJobs(deps),
});
let [held, peak] = [0, 0];
if (where === undefined)
  setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
    Bun.gc(true);
    const { heapUsed, external } = process.memoryUsage();
    held = Math.max(held, heapUsed + external);
  }, 250);
const megabytes = (bytes: number) => Math.round(bytes / 1024 / 1024);
runner.start();
console.log("ready");
process.on("SIGTERM", async () => {
  console.log(`held ${megabytes(held)} peak ${megabytes(peak)}`);
  await runner.stop();
  await deps.close();
  process.exit(0);
});

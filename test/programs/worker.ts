/**
 * A process that does jobs of one kind, for the tests of the runner: `bun test/programs/worker.ts NAME STEPS`.
 * Each job is STEPS steps; a step is written in a way that may be repeated, and progress is recorded after it.
 * `crash` in a job's payload ends the process at once.
 */
import { parseConfig } from "../../src/config";
import { createJobRunner } from "../../src/jobs/runner";
import { silentLogger } from "../../src/telemetry/log";
import { createDeps } from "../../src/wire";

const [name = "worker", steps = "1"] = process.argv.slice(2);
const deps = createDeps(parseConfig(process.env), silentLogger());
await deps.mongo.connection.asPromise();
const log = deps.mongo.connection.collection<{ _id: string; runs: number; by: string[] }>("test_steps");

const runner = createJobRunner({
  stores: [deps.jobs.mysql, deps.jobs.mongo],
  clock: deps.clock,
  log: deps.log,
  leaseMs: 2000,
  pollMs: 50,
  concurrency: 2,
  handlers: {
    "test.steps": async ({ job, saveProgress, signal }) => {
      if ((job.payload as { crash?: boolean }).crash) process.kill(process.pid, "SIGKILL");
      for (let step = Number(job.progress ?? 0); step < Number(steps); step++) {
        signal.throwIfAborted();
        await log.updateOne(
          { _id: `${job.id}:${step}` },
          { $inc: { runs: 1 }, $addToSet: { by: name } },
          { upsert: true },
        );
        console.log(`${name} step ${step}`);
        await saveProgress(step + 1);
        await Bun.sleep(30);
      }
      console.log(`${name} done`);
    },
  },
});
runner.start();
console.log(`${name} ready`);
process.on("SIGTERM", async () => {
  await runner.stop();
  await deps.close();
  process.exit(0);
});

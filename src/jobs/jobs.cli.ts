/** `bun run jobs [list [STATE] | retry ID | discard ID]`: what waits, runs and failed. */
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { commandDeps, configOrExit, databasesOrExit } from "../program";
import { discardJob, listJobs, retryJob } from "./admin";
import { JOB_STATES } from "./jobs";

const [verb = "list", word] = readCommandLine(COMMANDS.jobs).positionals;
const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
const deps = await commandDeps(config);

async function main(): Promise<number> {
  const state = JOB_STATES.find((name) => name === word);
  if (verb === "list" && (word === undefined || state !== undefined)) {
    const { backlog, jobs } = await listJobs(deps, { state, limit: 100 });
    for (const job of jobs) {
      const reason = job.reason === null ? "" : `: ${job.reason.replace(/\s+/g, " ").slice(0, 200)}`;
      console.log(
        `${job.id} ${job.kind} ${job.state}, try ${job.attempts} of ${job.maxAttempts}, ${job.ageSeconds} s old${reason}`,
      );
    }
    console.log(
      `${backlog.waiting} waiting, ${backlog.running} running, ${backlog.failed} failed; ${backlog.lagSeconds} s behind.`,
    );
    return 0;
  }
  if ((verb !== "retry" && verb !== "discard") || word === undefined) {
    console.error(COMMANDS.jobs.usage);
    return 2;
  }
  await (verb === "retry" ? retryJob : discardJob)(deps, null, word);
  return 0;
}

try {
  await databasesOrExit(config, deps.mongo);
  process.exitCode = await main().catch((error: Error) => {
    console.error(error.message);
    return 1;
  });
} finally {
  await deps.close();
}

/** `bun run analytics:rebuild`: makes all sessions and rollups anew from the events that are kept. */
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { createProgress, type Progress } from "../lib/progress";
import { commandDeps, configOrExit, databasesOrExit } from "../program";
import { type RebuildProgress, rebuild } from "./rebuild";

readCommandLine(COMMANDS["analytics:rebuild"]);
const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
const deps = await commandDeps(config);
const bars: Partial<Record<Parameters<RebuildProgress>[0], Progress>> = {};
try {
  await databasesOrExit(config, deps.mongo);
  const made = await rebuild(deps, {
    progress: (what, done, total) => {
      bars[what] ??= createProgress(what === "events" ? "Sessions" : "Reports", total);
      bars[what].update(done, `${done} of ${total} ${what}`);
    },
  });
  for (const bar of Object.values(bars)) bar.end();
  if (!made) throw new Error("Not all rollups could be made; see the log above.");
  console.log("Sessions and rollups are made anew.");
} finally {
  await deps.close();
}

/** Where the time of a request goes: a flame graph of each scenario, of this project alone. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flameGraph, shares } from "./flame";
import { type Load, measure } from "./measure";
import type { Scenario } from "./scenarios";
import { PRODUCT, startSide } from "./sides";
import { prepareRun, type World } from "./world";

const SECONDS = 4;

/** Runs each scenario with Bun's profiler, and writes `flame-NAME.svg` and `shares.md`. */
export async function profiles(
  scenarios: Scenario[],
  world: World,
  processor: string,
  load: Pick<Load, "processor" | "databases">,
  folder: string,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const rows: string[] = [];
  for (const scenario of scenarios.filter(({ rate }) => rate === undefined)) {
    const into = mkdtempSync(join(tmpdir(), "bench-profile-"));
    const [program = "", ...words] = PRODUCT.command;
    const profiled = { ...PRODUCT, command: [program, "--cpu-prof", `--cpu-prof-dir=${into}`, ...words] };
    await prepareRun(world);
    const running = await startSide(profiled, processor);
    try {
      const { connections } = scenario;
      await measure(running, scenario.request(world, false), { ...load, connections, seconds: SECONDS });
    } finally {
      await running.stop();
    }
    const [file] = readdirSync(into);
    if (file === undefined) throw new Error(`Bun wrote no profile of ${scenario.name}`);
    const profile = JSON.parse(readFileSync(join(into, file), "utf8"));
    rmSync(into, { recursive: true });
    writeFileSync(join(folder, `flame-${scenario.name}.svg`), flameGraph(scenario.what, profile));
    const largest = shares(profile)
      .slice(0, 8)
      .map(([owner, share]) => `${owner} ${(share * 100).toFixed(0)} %`);
    rows.push(`| ${scenario.what} | ${largest.join(", ")} |`);
  }
  const head = ["| scenario | whose code the processor's time is spent in |", "| --- | --- |"];
  writeFileSync(join(folder, "shares.md"), `${[...head, ...rows].join("\n")}\n`);
}

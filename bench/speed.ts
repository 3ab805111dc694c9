/**
 * Speed beside the stack that this project replaces, its peers and the floor: `bun run bench speed [--quick] [--check]
 * [--save] [--seconds=N] [--only=SCENARIO,…] [--sides=SIDE,…] [--against=CHECKOUT]`, on databases of its own beside
 * those that the environment names. Linux only: processor time and memory are read from /proc.
 *
 * Every side is a server of its own on the first processor; the load and the databases have the second. Sides take
 * turns within each round, so what else the machine does falls on all of them, and results are ratios within one
 * round. First all must give the same answers. A whole run writes tables, plots, profiles and ratios to
 * `bench/results/`; `--quick` has shorter runs, writes nothing (unless `--save` is there too), and warns where a ratio
 * got worse by more than a third since the last whole run. `--only=wide` runs its last part alone: two and three
 * processes, 100,000 products, a million people. `--against` sets another checkout beside this one.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { SPEED_GOALS, START_GOALS, WORSE_BY } from "./goals";
import { onThrowAwayDatabases, options } from "./lib";
import { installPeers, versions } from "./peers/install";
import { databaseProcesses, pin, processorTime, residentMegabytes } from "./peers/machine";
import { type Load, type Measured, measure } from "./peers/measure";
import { profiles } from "./peers/profiles";
import { goalsTable, type Judged, judge, median, plotOf, type Results, tableOf } from "./peers/report";
import { SCENARIOS, type Scenario } from "./peers/scenarios";
import { builtSide, otherCheckout, PEERS, PRODUCT, type Running, startSide } from "./peers/sides";
import { wider } from "./peers/wider";
import { makeWorld, prepareRun, type World } from "./peers/world";

const RESULTS = join(import.meta.dir, "results");
const ROUNDS = options.quick ? 2 : 3;
/** Bun and Node compile what is called often: before that, runs do not count. */
const WARM_SECONDS = 2;
/** Starts of which the median counts. */
const STARTS = 5;
const PRODUCTS = options.quick ? 1000 : 3351;
const [SERVER, OTHERS] = availableParallelism() > 1 ? (["0", "1"] as const) : (["0", "0"] as const);

const given = (name: string): string | undefined =>
  process.argv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
/** Of a counted run. */
const SECONDS = Number(given("seconds") ?? (options.quick ? 2 : 8));
const chosen = (name: string): string[] | undefined => given(name)?.split(",");

/** The request of a scenario as a side takes it. */
const requestFor = (scenario: Scenario, world: World, { side, token }: Running) => {
  const request = scenario.request(world, side.peer);
  return token === undefined || request.headers?.authorization === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
};

const answers = ({ only, peer }: Running["side"], { name, own }: Scenario): boolean =>
  own ? !peer : (only?.includes(name) ?? true);

/** Asks every side once what several take. @throws when one answers otherwise than the others */
async function checkAnswers(sides: Running[], scenarios: Scenario[], world: World): Promise<void> {
  for (const scenario of scenarios) {
    let first: string | undefined;
    const taking = sides.filter(({ side }) => answers(side, scenario));
    // One alone has nothing to be compared with, and a picture would stay in its memory.
    for (const running of taking.length > 1 ? taking : []) {
      const { path, method, headers, body, base64, each } = requestFor(scenario, world, running);
      const fresh = (text: string) =>
        Object.entries(each ?? {}).reduce(
          (whole, [kind, [first = ""]]) => whole.replaceAll(`[${kind}]`, first),
          text.replaceAll("[n]", `check-${running.side.name}`).replaceAll("[account]", "0"),
        );
      const answer = await fetch(`${running.url}${fresh(path)}`, {
        method,
        headers: Object.fromEntries(
          Object.entries(headers ?? {}).map(([name, value]) => [name, fresh(value)]),
        ),
        ...(body === undefined ? {} : { body: base64 ? Buffer.from(body, "base64") : fresh(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${running.side.name}, ${scenario.name}: ${answer.status} ${text}`);
      if (running.side.ownAnswers) continue;
      const shown = JSON.stringify(scenario.compared(JSON.parse(text))).replaceAll(
        `check-${running.side.name}`,
        "",
      );
      first ??= shown;
      if (shown !== first)
        throw new Error(`${running.side.name}, ${scenario.name}:\n${shown}\ninstead of\n${first}`);
    }
  }
}

/** Waits until no side is busy with what it does after its start: compiling, and looking at what is there. */
async function settle(sides: Running[]): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const before = sides.map((side) => processorTime(side.processes()));
    await Bun.sleep(1000);
    const busy = sides.some(
      (side, index) => processorTime(side.processes()) - (before[index] ?? 0) > 100_000,
    );
    if (!busy) return;
  }
}

/** Counted runs of one scenario, the sides in turn, after one that does not count. */
async function runScenario(
  scenario: Scenario,
  sides: Running[],
  world: World,
  databases: number[],
): Promise<Map<string, Measured[]>> {
  const { connections, rate } = scenario;
  const load: Load = { connections, rate, processor: OTHERS, databases, seconds: SECONDS };
  const taking = sides.filter(({ side }) => answers(side, scenario));
  const runs = new Map<string, Measured[]>(taking.map(({ side }) => [side.name, []]));
  for (const running of taking) {
    const warm = { ...load, rate: undefined, seconds: WARM_SECONDS };
    await measure(running, requestFor(scenario, world, running), warm);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const running of taking) {
      runs.get(running.side.name)?.push(await measure(running, requestFor(scenario, world, running), load));
    }
  }
  return runs;
}

/** Memory of servers that have answered nothing yet but whether they live. */
const idleRuns = (sides: Running[]): Map<string, Measured[]> =>
  new Map(
    sides.map((running) => [
      running.side.name,
      [
        {
          perSecond: 0,
          p50: 0,
          p99: 0,
          server: 0,
          databases: 0,
          memory: residentMegabytes(running.processes()),
        },
      ],
    ]),
  );

const keyOf = ({ goal }: Judged): string => `${goal.scenario} ${goal.measure} ${goal.against}`;

/** Says which ratios got worse by more than a third since the last whole run. */
function warnOfWorse(judged: Judged[]): void {
  const path = join(RESULTS, "ratios.json");
  if (!existsSync(path)) return;
  const before = JSON.parse(readFileSync(path, "utf8")) as Record<string, number>;
  for (const one of judged) {
    const was = before[keyOf(one)];
    if (was === undefined || one.outcome === "noisy") continue;
    const change = one.goal.goal[0] === "<=" ? one.ratio / was : was / one.ratio;
    if (change > 1 / (1 - WORSE_BY)) {
      console.log(`WARNING: ${keyOf(one)} is ${one.ratio.toFixed(2)}; it was ${was.toFixed(2)}`);
    }
  }
}

/** Starts of each side, beside the replaced stack's. */
function startTable(started: Map<string, number[]>): string {
  const replaced = median(started.get("replaced") ?? []);
  const goals = new Map(Object.entries(START_GOALS));
  const rows = [...started].map(([side, times]) => {
    const ratio = median(times) / replaced;
    const goal = goals.get(side);
    return `| ${side} | ${median(times).toFixed(0)} | ${ratio.toFixed(2)} | ${goal === undefined ? "" : `<= ${goal}`} |`;
  });
  return [
    "### From the start of the process to its first answer",
    "",
    "| side | ms | of replaced | goal |",
    "| --- | ---: | ---: | --- |",
    ...rows,
    "",
  ].join("\n");
}

/** Times from start to the first answer of what `bun run build` makes. */
async function timeBuild(started: Map<string, number[]>): Promise<void> {
  const side = await builtSide();
  for (let again = STARTS; again > 0; again--) {
    const trial = await startSide(side, SERVER);
    started.set(side.name, [...(started.get(side.name) ?? []), trial.startedIn]);
    await trial.stop();
  }
}

/** Writes what a whole run found. */
function write(results: Results, judged: Judged[], started: Map<string, number[]>): void {
  const tables = [...results].map(([name, sides]) => {
    const what = SCENARIOS.find((scenario) => scenario.name === name)?.what ?? "memory after the start";
    if (name !== "idle") writeFileSync(join(RESULTS, `speed-${name}.svg`), plotOf(what, sides));
    return tableOf(what, sides);
  });
  const names = Object.entries(versions()).map(([name, version]) => `${name} ${version}`);
  const text = [
    `Versions: ${names.join(", ")}. ${PRODUCTS} products; ${ROUNDS} counted runs of ${SECONDS} s a side, in turn; medians with their ranges.\n`,
    goalsTable(judged),
    startTable(started),
    ...tables,
  ];
  writeFileSync(join(RESULTS, "speed.md"), text.join("\n"));
  const ratios = Object.fromEntries(judged.map((one) => [keyOf(one), Number(one.ratio.toFixed(3))]));
  writeFileSync(join(RESULTS, "ratios.json"), `${JSON.stringify(ratios, null, 2)}\n`);
}

async function run(): Promise<number> {
  const files = mkdtempSync(join(tmpdir(), "aizy-bench-"));
  process.env.STORAGE_DIR = files;
  const world = await makeWorld(PRODUCTS);
  const databases = databaseProcesses(process.env);
  if (databases.length === 0) console.log("The databases run elsewhere: their processor time is not seen.");
  pin([...databases, process.pid], OTHERS);
  mkdirSync(RESULTS, { recursive: true });
  const against = given("against");
  const wanted = chosen("sides");
  const named = PEERS.filter(({ name }) =>
    wanted ? wanted.includes(name) : !options.quick || ["replaced", "floor", "better-auth"].includes(name),
  );
  const isWide = chosen("only")?.includes("wide") ?? false;
  const scenarios = SCENARIOS.filter(
    ({ name, rate }) => (chosen("only")?.includes(name) ?? true) && !(options.quick && rate !== undefined),
  );
  const sides: Running[] = [];
  const started = new Map<string, number[]>();
  try {
    for (const side of [PRODUCT, ...(against === undefined ? [] : [otherCheckout(against)]), ...named]) {
      // The first start reads its files from the disk.
      for (let again = options.quick ? 0 : STARTS; again > 0; again--) {
        const trial = await startSide(side, SERVER);
        started.set(side.name, [...(started.get(side.name) ?? []), trial.startedIn]);
        await trial.stop();
      }
      sides.push(await startSide(side, SERVER));
    }
    if (!options.quick && wanted === undefined) await timeBuild(started);
    await checkAnswers(sides, scenarios, world);
    await settle(sides);
    const results: Results = new Map();
    if (chosen("only") === undefined) results.set("idle", idleRuns(sides));
    for (const scenario of scenarios) {
      await prepareRun(world);
      const runs = await runScenario(scenario, sides, world, databases);
      results.set(scenario.name, runs);
      console.log(tableOf(scenario.what, runs));
    }
    const judged = SPEED_GOALS.flatMap((goal) => judge(goal, results) ?? []);
    const whole =
      (!options.quick || process.argv.includes("--save")) &&
      chosen("only") === undefined &&
      wanted === undefined;
    const load = { processor: OTHERS, databases };
    if (whole) {
      for (const { side, stop } of sides) if (side.name !== PRODUCT.name) await stop();
      await profiles(scenarios, world, SERVER, load, RESULTS);
    }
    console.log(goalsTable(judged));
    if (whole) write(results, judged, started);
    else warnOfWorse(judged);
    if (isWide || (whole && !options.quick)) {
      for (const { stop } of sides) await stop();
      const tables = await wider(world, SERVER, load);
      console.log(tables.join("\n"));
      writeFileSync(join(RESULTS, "wide.md"), tables.join("\n"));
    }
    const met = judged.filter(({ outcome }) => outcome === "met").length;
    console.log(`goals: ${met} of ${judged.length}`);
    return options.check && judged.some(({ outcome }) => outcome === "missed") ? 1 : 0;
  } finally {
    await Promise.all(sides.map(({ stop }) => stop()));
    pin(databases, `0-${availableParallelism() - 1}`);
    rmSync(files, { recursive: true, force: true });
  }
}

if (process.platform !== "linux") {
  console.error("This benchmark reads /proc: it runs on Linux only.");
  process.exit(2);
}
await installPeers();
process.exit(await onThrowAwayDatabases(run));

/** What takes a shop of another size, or more processes: this project alone. */
import type { Deps } from "../../src/wire";
import { GROWTH_GOAL, PROCESSES_GOAL } from "../goals";
import { withDeps } from "../lib";
import { untilIdle } from "./machine";
import { type Load, type Measured, measure } from "./measure";
import { median } from "./report";
import { SCENARIOS, type Scenario } from "./scenarios";
import { PRODUCT, type Running, startSide } from "./sides";
import { addPeople, addProducts, prepareRun, type World } from "./world";

const SECONDS = 5;
const ROUNDS = 3;

type Around = Pick<Load, "processor" | "databases">;

const scenarioOf = (name: string): Scenario => {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (!found) throw new Error(`there is no scenario ${name}`);
  return found;
};

/** Runs of one scenario against this project as each of the environments makes it, in turn. */
async function timesOf(
  scenario: Scenario,
  world: World,
  server: string,
  load: Around,
  environments: Record<string, string>[] = [{}],
): Promise<Measured[][]> {
  const sides: Running[] = [];
  try {
    for (const env of environments) sides.push(await startSide(PRODUCT, server, { env }));
    const { connections } = scenario;
    const runOf = (side: Running, seconds: number) =>
      measure(side, scenario.request(world, false), { ...load, connections, seconds });
    for (const side of sides) await runOf(side, SECONDS);
    const runs: Measured[][] = sides.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, side] of sides.entries()) runs[index]?.push(await runOf(side, SECONDS));
    }
    return runs;
  } finally {
    await Promise.all(sides.map(({ stop }) => stop()));
  }
}

const row = (what: string, runs: Measured[]): string =>
  `| ${what} | ${[
    median(runs.map(({ perSecond }) => perSecond)).toFixed(0),
    median(runs.map(({ p50 }) => p50)).toFixed(1),
    median(runs.map(({ server }) => server)).toFixed(0),
    median(runs.map(({ databases }) => databases)).toFixed(0),
  ].join(" | ")} |`;
const HEAD = [
  "| | requests a second | p50, ms | server, µs | databases, µs |",
  "| --- | ---: | ---: | ---: | ---: |",
];

const tableOf = (title: string, rows: string[]): string => [title, "", ...HEAD, ...rows, ""].join("\n");

const ratioOf = (runs: Measured[], before: Measured[]): string =>
  (median(runs.map(({ perSecond }) => perSecond)) / median(before.map(({ perSecond }) => perSecond))).toFixed(
    2,
  );

/** 1, 2 and 3 processes on both processors, the load and the databases beside them. */
async function processes(world: World, load: Around): Promise<string> {
  await untilIdle();
  await prepareRun(world);
  const both = { ...load, processor: "0,1" };
  const scenario = scenarioOf("me-customer");
  const counts = ["1", "2", "3"].map((count) => ({ WEB_CONCURRENCY: count }));
  const [one = [], two = [], three = []] = await timesOf(scenario, world, "0,1", both, counts);
  const title = `### Processes on two processors: two answer ${ratioOf(two, one)} of one (goal >= ${PROCESSES_GOAL}), three ${ratioOf(three, one)}`;
  const rows = [row("1 process", one), row("2 processes", two), row("3 processes", three)];
  return tableOf(title, rows);
}

/** What there is more and more of. */
interface Growing {
  what: string;
  sizes: number[];
  /** Scenarios; the title tells the time of the first one at the largest size, by that at the smallest. */
  names: string[];
  title(ratio: string): string;
  count(deps: Deps): Promise<number>;
  add(deps: Deps, from: number, count: number): Promise<unknown>;
}

const PEOPLE: Growing = {
  what: "people",
  sizes: [10_000, 1_000_000],
  names: ["me-customer", "sign-in", "people"],
  title: (ratio) => `A guarded read among a million people: ${ratio} of its time among few`,
  count: (deps) => deps.mysql.on().user.count(),
  add: addPeople,
};

const PRODUCTS: Growing = {
  what: "products",
  sizes: [10_000, 100_000],
  names: ["list", "product"],
  title: (ratio) =>
    `A page of 20 of 100,000 products: ${ratio} of its time among few (goal <= ${GROWTH_GOAL})`,
  count: (deps) => deps.products.count(),
  add: addProducts,
};

/** Scenarios as databases grow from what there is. */
async function growth(
  { what, sizes, names, title, count, add }: Growing,
  world: World,
  server: string,
  load: Around,
): Promise<string> {
  const rows: string[] = [];
  const runs: Measured[][] = [];
  for (const size of [0, ...sizes]) {
    const there = await withDeps(async (deps) => {
      const before = await count(deps);
      if (size > before) await add(deps, 1_000_000 + before, size - before);
      return Math.max(before, size);
    });
    await untilIdle();
    for (const name of names) {
      await prepareRun(world);
      const scenario = scenarioOf(name);
      const [measured = []] = await timesOf(scenario, world, server, load);
      if (name === names[0]) runs.push(measured);
      rows.push(row(`${scenario.what}; ${there.toLocaleString("en")} ${what}`, measured));
    }
  }
  return tableOf(`### ${title(ratioOf(runs[0] ?? [], runs.at(-1) ?? []))}`, rows);
}

/** @returns a table of each part */
export const wider = async (world: World, server: string, load: Around): Promise<string[]> => [
  await processes(world, load),
  await growth(PEOPLE, world, server, load),
  await growth(PRODUCTS, world, server, load),
];

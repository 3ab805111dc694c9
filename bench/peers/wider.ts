/** What takes a shop of another size, or more processes: this project alone. */
import { parseConfig } from "../../src/config";
import { silentLogger } from "../../src/telemetry/log";
import { createDeps } from "../../src/wire";
import { GROWTH_GOAL, PROCESSES_GOAL } from "../goals";
import { untilIdle } from "./machine";
import { type Load, type Measured, measure } from "./measure";
import { median } from "./report";
import { SCENARIOS, type Scenario } from "./scenarios";
import { PRODUCT, type Running, startSide } from "./sides";
import { addProducts, type World } from "./world";

const SECONDS = 5;
const ROUNDS = 3;
/** Products of the larger shop. */
const MANY = 100_000;

export interface Wider {
  table: string;
}

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
  await untilIdle();
  const sides: Running[] = [];
  try {
    for (const env of environments) sides.push(await startSide(PRODUCT, server, { env }));
    const { connections } = scenario;
    const request = scenario.request(world, false);
    const runOf = (side: Running, seconds: number) =>
      measure(side, request, { ...load, connections, seconds });
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

/** 1 and 2 processes on both processors, the load and the databases beside them. */
async function processes(world: World, load: Around): Promise<Wider> {
  const both = { ...load, processor: "0,1" };
  const scenario = scenarioOf("me-customer");
  const counts = [{ WEB_CONCURRENCY: "1" }, { WEB_CONCURRENCY: "2" }];
  const [one = [], two = []] = await timesOf(scenario, world, "0,1", both, counts);
  const ratio = median(two.map((run) => run.perSecond)) / median(one.map((run) => run.perSecond));
  const title = `### Processes on two processors: ${ratio.toFixed(2)} of one (goal >= ${PROCESSES_GOAL})`;
  return { table: [title, "", ...HEAD, row("1 process", one), row("2 processes", two), ""].join("\n") };
}

/** A page of a shop of today's size, and of one with 100,000 products. */
async function growth(world: World, server: string, load: Around): Promise<Wider> {
  const scenario = scenarioOf("list");
  const [few = []] = await timesOf(scenario, world, server, load);
  const deps = createDeps(parseConfig(process.env), silentLogger());
  try {
    await deps.mongo.connection.asPromise();
    await addProducts(deps, 1_000_000, MANY - (await deps.products.count()));
  } finally {
    await deps.close();
  }
  const [many = []] = await timesOf(scenario, world, server, load);
  const ratio = median(many.map(({ p50 }) => p50)) / median(few.map(({ p50 }) => p50));
  const title = `### A page of 20 of 100,000 products: ${ratio.toFixed(2)} of its time among few (goal <= ${GROWTH_GOAL})`;
  return { table: [title, "", ...HEAD, row("few", few), row("100,000", many), ""].join("\n") };
}

export const wider = async (world: World, server: string, load: Around): Promise<Wider[]> => [
  await processes(world, load),
  await growth(world, server, load),
];

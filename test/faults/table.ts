/**
 * bun run faults [NAME…] [--write] — makes each fault of rows.ts on two server processes under a mixed load, and says
 * what came of it. Ends with 1 when something that was acknowledged is lost or doubled, or stock does not add up.
 */
import { readFile, writeFile } from "node:fs/promises";
import { arch, cpus, loadavg, totalmem } from "node:os";
import { readCommandLine } from "../../src/cli";
import { COMMANDS } from "../../src/commands";
import { verifyAll } from "../../src/inventory/verify";
import { canStart } from "../checkout";
import { type Call, compare, type Load, startLoad } from "./load";
import { FAULTS, type Fault } from "./rows";
import { createWorld, makeStock, type World } from "./world";

const DOCUMENT = "docs/reliability.md";
/** The load before a fault, and the time without any failure after it that counts as recovered, in seconds. */
const [BEFORE, QUIET] = [4, 4];
/** The longest wait for a recovery, in seconds. */
const PATIENCE = 90;

interface Outcome {
  fault: Fault;
  calls: Call[];
  /** Seconds from the end of the fault to the end of the last call that failed. */
  recovered: number;
  lost: string[];
  doubled: string[];
  differences: number;
}

const failed = ({ status }: Call): boolean => status === 0 || status >= 500;

/** Waits until no call has failed for a while. @returns when the last one failed */
async function untilQuiet(load: Load, from: number): Promise<number> {
  for (;;) {
    await Bun.sleep(250);
    const last = load.calls.findLast(failed)?.ended ?? from;
    const now = performance.now();
    if (now - Math.max(last, from) > QUIET * 1000) return last;
    if (now - from > PATIENCE * 1000) return now;
  }
}

async function make(world: World, fault: Fault, turn: number): Promise<Outcome> {
  await (fault.start ? fault.start(world) : world.start());
  await world.ready();
  const run = `${turn}-${fault.name}`;
  const load = startLoad(world.address, world.accounts, { run, locationId: await makeStock(world, run) });
  await Bun.sleep(BEFORE * 1000);
  await fault.begin(world);
  await Bun.sleep(fault.seconds * 1000);
  await fault.end?.(world);
  const from = performance.now();
  const recovered = Math.max(0, (await untilQuiet(load, from)) - from) / 1000;
  await load.stop();
  await world.ready();
  const { lost, doubled } = await compare(world.deps, world.address, load.acknowledged);
  const { differences } = await verifyAll(world.deps);
  await world.stop();
  return { fault, calls: load.calls, recovered, lost, doubled, differences: differences.length };
}

/** How often each status of a failure came: `503 × 12`. */
function errorsOf(calls: Call[]): string {
  const counts = new Map<string, number>();
  for (const { status } of calls.filter(failed)) {
    const name = status === 0 ? "no answer" : String(status);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} × ${count}`).join(", ") || "none";
}

function cellsOf({ fault, calls, recovered, lost, doubled, differences }: Outcome): string[] {
  const refused = calls.filter(({ status }) => status === 503);
  const slowest = Math.max(0, ...refused.map(({ began, ended }) => ended - began)) / 1000;
  const silent = refused.filter(({ retryAfter }) => retryAfter === null).length;
  return [
    fault.what,
    String(calls.length),
    errorsOf(calls),
    refused.length === 0
      ? "–"
      : `${slowest.toFixed(1)}${silent === 0 ? "" : `, ${silent} without Retry-After`}`,
    String(lost.length),
    String(doubled.length),
    String(differences),
    recovered.toFixed(1),
  ];
}

const HEAD = [
  "fault",
  "requests",
  "failures",
  "slowest 503, s",
  "lost",
  "doubled",
  "stock differs",
  "seconds to recover",
];

async function tableOf(world: World, outcomes: Outcome[]): Promise<string> {
  const [row] = await world.deps.mysql.on().$queryRaw<{ version: string }[]>`SELECT VERSION() AS version`;
  const engine = await world.deps.mongo.connection.db?.admin().serverInfo();
  const versions = `Bun ${Bun.version}, MySQL ${row?.version}, document engine ${engine?.version} (the local one)`;
  const machine = `${process.platform} ${arch()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, load average ${loadavg()[1]?.toFixed(0)}`;
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    `Measured by \`bun run faults --write\` on ${new Date().toISOString().slice(0, 10)}: ${versions}; ${machine}.`,
    "",
    line(HEAD),
    line(HEAD.map((_, column) => (column === 0 || column === 2 ? "---" : "---:"))),
    ...outcomes.map((outcome) => line(cellsOf(outcome))),
  ].join("\n");
}

async function writeDocument(table: string): Promise<void> {
  const text = await readFile(DOCUMENT, "utf8");
  const [begin, end] = ["<!-- faults: generated -->", "<!-- faults: end -->"];
  const [before = "", rest = ""] = text.split(begin);
  await writeFile(DOCUMENT, `${before}${begin}\n\n${table}\n\n${end}${rest.split(end)[1] ?? ""}`);
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(COMMANDS.faults);
  const unknown = positionals.filter((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown.length > 0) {
    console.error(
      `There is no fault ${unknown.join(", ")}. There are: ${FAULTS.map(({ name }) => name).join(", ")}.`,
    );
    return 2;
  }
  if (!canStart) {
    console.log("Faults      skipped: they need root on Debian, and databases that are not given");
    return 0;
  }
  const world = await createWorld();
  let ended: Promise<void> | undefined;
  const end = () => {
    ended ??= world.end();
    return ended;
  };
  // Ended from outside it leaves no server, no database and no file system behind either.
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => void end().finally(() => process.exit(1)));
  const outcomes: Outcome[] = [];
  try {
    for (const [turn, fault] of FAULTS.entries()) {
      if (positionals.length > 0 && !positionals.includes(fault.name)) continue;
      if (fault.possible?.(world) === false) {
        console.log(`${fault.name}: skipped, what it needs is not installed`);
        continue;
      }
      const outcome = await make(world, fault, turn);
      outcomes.push(outcome);
      console.log(cellsOf(outcome).join(" | "));
      for (const what of [...outcome.lost, ...outcome.doubled].slice(0, 10)) console.log(`  ${what}`);
    }
    const table = await tableOf(world, outcomes);
    console.log(`\n${table}`);
    if (values.write) await writeDocument(table);
  } finally {
    await end();
  }
  const right = outcomes.every(
    ({ lost, doubled, differences }) => lost.length + doubled.length + differences === 0,
  );
  return right ? 0 : 1;
}

process.exit(await main());

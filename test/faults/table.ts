/**
 * bun run faults [NAME…] [--write] — makes each fault of rows.ts on two server processes under a mixed load, and says
 * what came of it. Ends with 1 when a row does not keep to the bounds of bounds.ts.
 */
import { readFile, writeFile } from "node:fs/promises";
import { arch, cpus, loadavg, totalmem } from "node:os";
import { readCommandLine } from "../../src/cli";
import { COMMANDS } from "../../src/commands";
import { canStart } from "../checkout";
import { failed, missedBounds, type Outcome, refusalsOf } from "./bounds";
import type { Call } from "./load";
import { FAULTS, type Fault } from "./rows";
import { runFault } from "./run";
import { createWorld, type World } from "./world";

const DOCUMENT = "docs/reliability.md";
interface Row {
  fault: Fault;
  outcome: Outcome;
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

function cellsOf({ fault, outcome }: Row): string[] {
  const { calls, recovered, lost, doubled, mailsDoubled, differences } = outcome;
  const { refused, slowest, silent } = refusalsOf(calls);
  return [
    fault.what,
    String(calls.length),
    errorsOf(calls),
    refused.length === 0
      ? "–"
      : `${slowest.toFixed(1)}${silent === 0 ? "" : `, ${silent} without Retry-After`}`,
    String(lost.length),
    String(doubled.length),
    String(mailsDoubled.length),
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
  "mails doubled",
  "stock differs",
  "seconds to recover",
];

async function tableOf(world: World, rows: Row[]): Promise<string> {
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
    ...rows.map((row) => line(cellsOf(row))),
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
  const rows: Row[] = [];
  let right = true;
  try {
    for (const [turn, fault] of FAULTS.entries()) {
      if (positionals.length > 0 && !positionals.includes(fault.name)) continue;
      if (fault.possible?.(world) === false) {
        console.log(`${fault.name}: skipped, what it needs is not installed`);
        continue;
      }
      const outcome = await runFault(world, fault, `${turn}-${fault.name}`);
      rows.push({ fault, outcome });
      console.log(cellsOf({ fault, outcome }).join(" | "));
      const { lost, doubled, mailsDoubled } = outcome;
      for (const what of [...lost, ...doubled, ...mailsDoubled].slice(0, 10)) console.log(`  ${what}`);
      // A few among thousands are easily another thing than the fault.
      const failures = outcome.calls.filter(failed);
      if (failures.length < 5)
        for (const { kind, status, began, ended, said } of failures)
          console.log(`  ${kind}: ${status} after ${Math.round(ended - began)} ms, ${said ?? "no answer"}`);
      const missed = missedBounds(outcome, fault);
      if (missed.length > 0) {
        right = false;
        console.log(`  FAILED: ${missed.join("; ")}`);
      }
    }
    const table = await tableOf(world, rows);
    console.log(`\n${table}`);
    if (values.write) await writeDocument(table);
  } finally {
    await end();
  }
  return right ? 0 : 1;
}

process.exit(await main());

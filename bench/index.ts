/**
 * bun run bench [NAME] [--quick] [--check] — runs one benchmark of this folder, or each in turn. `--quick`
 * takes less time and less data; `--check` ends with 1 when a goal is missed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";

const SHARED = new Set(["index.ts", "lib.ts", "goals.ts", "plot.ts", "catalogue-file.ts"]);
const names = (await readdir(import.meta.dir))
  .filter((name) => name.endsWith(".ts") && !name.includes(".test.") && !SHARED.has(name))
  .map((name) => name.slice(0, -3))
  .sort();
const {
  positionals: [chosen],
} = readCommandLine(COMMANDS.bench);
if (chosen !== undefined && !names.includes(chosen)) {
  console.error(`There is no benchmark "${chosen}". There are: ${names.join(", ")}.`);
  process.exit(2);
}
let code = 0;
for (const name of chosen === undefined ? names : [chosen]) {
  console.log(`\n${name}`);
  const options = process.argv.slice(2).filter((word) => word !== chosen);
  const child = Bun.spawn([process.execPath, join(import.meta.dir, `${name}.ts`), ...options], {
    stdout: "inherit",
    stderr: "inherit",
  });
  code = Math.max(code, await child.exited);
}
process.exit(code);

/** Every command of a deployment is built, and docs/operations.md says how the image runs it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CHECKOUT, DATA } from "../local/paths";
import { bundleInto } from "../local/script";
import { COMMANDS } from "../src/commands";
import { useTestApp } from "./app";
import { startProgram } from "./processes";

useTestApp();

/** What only developers run, in a checkout. */
const OF_CHECKOUTS = [
  ...[
    "build",
    "build:client",
    "lint",
    "format",
    "typecheck",
    "generate",
    "migrate:dev",
    "studio",
    "db:check",
  ],
  ...["db:studio", "demo", "bench", "faults", "race", "openapi", "contract"],
];
/** Words behind another command. */
const WORDS = ["migrate:status", "migrate:resolve", "migrate:reset", "search"];

let folder = "";
beforeAll(async () => {
  await mkdir(DATA, { recursive: true });
  // In the checkout, where packages are found.
  folder = await mkdtemp(join(DATA, "bundle-"));
  const [program = "", ...words] = bundleInto(folder);
  const built = startProgram(words, {}, program === "bun" ? process.execPath : program);
  expect([await built.ended(), built.output()]).toEqual([0, expect.any(String)]);
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

const guide = await readFile(join(CHECKOUT, "docs/operations.md"), "utf8");
const rows = [...guide.matchAll(/^\| `bun run ([a-z:]+)` \| `bun ((?:--smol )?)(dist\/\S+\.js)/gm)].map(
  ([, name = "", smol = "", path = ""]) => ({ name, smol, path }),
);

test("the guide names every command that is not for developers alone", () => {
  const wanted = Object.keys(COMMANDS).filter(
    (name) => !OF_CHECKOUTS.includes(name) && !WORDS.includes(name),
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(wanted.sort());
  // Every built file that any page names is there.
  for (const [path] of guide.matchAll(/dist\/(?:src|prisma)\/\S+?\.js/g))
    expect([path, existsSync(join(folder, path.replace("dist/", "")))]).toEqual([path, true]);
});

test("each says what it takes, from what was built", async () => {
  const commands = rows.filter(({ name }) => name !== "start");
  expect(commands.length).toBeGreaterThan(10);
  for (const { name, smol, path } of commands) {
    const flags = smol === "" ? [] : ["--smol"];
    const program = startProgram([...flags, join(folder, path.replace("dist/", "")), "--help"]);
    expect([name, await program.ended(), program.output()]).toEqual([
      name,
      0,
      expect.stringContaining(`bun run ${name.replace("search:rebuild", "search rebuild")}`),
    ]);
  }
}, 120_000);

test("what reads and writes works from what was built", async () => {
  const run = async (path: string, ...words: string[]) => {
    const program = startProgram([join(folder, path), ...words]);
    return [await program.ended(), program.output()];
  };
  expect(await run("src/jobs/jobs.cli.js")).toEqual([0, expect.any(String)]);
  expect(await run("src/inventory/verify.cli.js")).toEqual([0, expect.any(String)]);
  expect(await run("src/products/search/rebuild.cli.js", "rebuild")).toEqual([0, expect.any(String)]);
  const file = join(folder, "products.ndjson");
  await Bun.write(file, `${JSON.stringify({ name: "Lamp", variants: [{ sku: "LAMP-1", price: 49.99 }] })}\n`);
  expect(await run("src/products/bulk/import.cli.js", file)).toEqual([0, expect.any(String)]);
  const copy = join(folder, "copy.ndjson");
  expect(await run("src/products/bulk/export.cli.js", copy)).toEqual([0, expect.any(String)]);
  expect(await readFile(copy, "utf8")).toContain("LAMP-1");
}, 120_000);

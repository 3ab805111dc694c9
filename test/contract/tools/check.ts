/**
 * bun run contract — the OpenAPI document as others' tools see it: Redocly and Spectral find no error, and what
 * openapi-typescript, hey-api and orval make of it compiles under --strict; and the client's package, which publint and
 * Are the types wrong find in order and TypeScript 5.9 and 7 compile under every resolution. The tools are installed in this folder
 * alone, when they are first needed.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildClient } from "../../../local/build-client";
import { type Compiler, compileFrontend, prepareFrontend } from "../../frontend";

const HERE = import.meta.dir;
const CHECKOUT = join(HERE, "../../..");
/** Of a browser's project that takes nothing on trust. */
const COMPILER = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: "esnext",
  module: "esnext",
  moduleResolution: "bundler",
  lib: ["esnext", "dom", "dom.iterable"],
  types: [],
};

/** Runs a command; its output is shown when it fails. */
async function step(name: string, command: string[], cwd = HERE): Promise<boolean> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const passed = (await child.exited) === 0;
  console.log(`${name.padEnd(20)}${passed ? "passed" : "FAILED"}`);
  if (!passed) console.log(`${out}${errors}`);
  return passed;
}

async function main(folder: string): Promise<boolean> {
  const tool = (name: string) => join(HERE, "node_modules/.bin", name);
  const document = join(folder, "openapi.json");
  const made = (name: string) => join(folder, name, "index.ts");
  const bun = process.execPath;
  const ready =
    (await step("Tools", [bun, "install", "--frozen-lockfile", "--ignore-scripts"])) &&
    (await step("Document", [bun, "src/openapi.cli.ts", document], CHECKOUT));
  if (!ready) return false;
  const rules = join(folder, "spectral.yaml");
  await writeFile(rules, "extends: spectral:oas\n");
  const generators: [string, string[]][] = [
    ["openapi-typescript", [tool("openapi-typescript"), document, "--output", made("openapi-typescript")]],
    ["hey-api", [tool("openapi-ts"), "--input", document, "--output", join(folder, "hey-api")]],
    ["orval", [tool("orval"), "--input", document, "--output", made("orval"), "--client", "fetch"]],
  ];
  let passed = await step("Redocly", [tool("redocly"), "lint", document]);
  passed = (await step("Spectral", [tool("spectral"), "lint", "--ruleset", rules, document])) && passed;
  for (const [name, command] of generators) {
    await mkdir(join(folder, name));
    const project = join(folder, `${name}.json`);
    await writeFile(project, JSON.stringify({ compilerOptions: COMPILER, files: [made(name)] }));
    const compiles =
      (await step(name, command)) && (await step("  it compiles", [tool("tsc"), "-p", project]));
    passed = compiles && passed;
  }
  return (await packageIsRight(join(folder, "frontend"), tool)) && passed;
}

const RESOLUTIONS: Compiler[] = [
  { module: "Node16", moduleResolution: "Node16" },
  { module: "NodeNext", moduleResolution: "NodeNext" },
  { module: "ESNext", moduleResolution: "bundler" },
];

/** Holds that the client, as it is packed, can be installed and read by whoever uses TypeScript. */
async function packageIsRight(frontend: string, tool: (name: string) => string): Promise<boolean> {
  const client = prepareFrontend(frontend);
  await buildClient(client);
  const archive = join(frontend, "client.tgz");
  let passed =
    (await step("Package", [process.execPath, "pm", "pack", "--quiet", "--filename", archive], client)) &&
    (await step("publint", [tool("publint"), "--strict", "--pack", "false"], client)) &&
    (await step("attw", [tool("attw"), archive]));
  for (const [version, tsc] of [
    ["5.9", tool("tsc")],
    ["7", join(CHECKOUT, "node_modules/.bin/tsc")],
  ] as const)
    for (const resolution of RESOLUTIONS)
      for (const skipLibCheck of [false, true]) {
        const said = await compileFrontend(frontend, { ...resolution, skipLibCheck, tsc });
        const name = `TypeScript ${version}, ${resolution.moduleResolution}${skipLibCheck ? ", skipLibCheck" : ""}`;
        console.log(`${name.padEnd(40)}${said === "" ? "passed" : `FAILED\n${said}`}`);
        passed = passed && said === "";
      }
  return passed;
}

const folder = await mkdtemp(join(tmpdir(), "aizy-contract-"));
const passed = await main(folder).finally(() => rm(folder, { recursive: true, force: true }));
process.exit(passed ? 0 : 1);

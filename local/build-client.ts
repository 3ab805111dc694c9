/**
 * bun run build:client — the typed client as a package of its own in `dist/client/`: one JavaScript file and the
 * declarations that it needs, already worked out. A frontend that installs it type-checks its calls without
 * reading the server's source, and needs no library of the server but Hono.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, normalize, relative } from "node:path";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";
import { CHECKOUT } from "./paths";

/** Modules that say what the server is made of: nothing that a client sees depends on them. */
const SERVER_ONLY = /(?:^|\/)deps\.d\.ts$|^wire\.d\.ts$|^telemetry\/log\.d\.ts$/;

/** The declarations of a module of the server alone: the names that it exports, and nothing of what they are. */
const withoutServer = (text: string): string =>
  [...text.matchAll(/^export (?:declare )?(?:interface|type) (\w+)/gm)]
    .map(([, name]) => `export type ${name} = any;\n`)
    .join("");

/** The packages that the declarations may name. */
const PEERS = ["hono"];

const IMPORT = /\bfrom "([^"]+)"|\bimport\("([^"]+)"\)|^import "([^"]+)"/gm;

/**
 * The declarations that `client.d.ts` leads to, by their path inside `folder`.
 * @throws Error when they lead to a package that a frontend does not have
 */
async function declarations(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const waiting = ["client.d.ts"];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.has(path)) continue;
    const emitted = await readFile(join(folder, path), "utf8");
    const text = SERVER_ONLY.test(path) ? withoutServer(emitted) : emitted;
    found.set(path, text);
    for (const [, from, dynamic, bare] of text.matchAll(IMPORT)) {
      const name = from ?? dynamic ?? bare ?? "";
      if (name.startsWith(".")) {
        const module = normalize(join(dirname(path), name));
        waiting.push(existsSync(join(folder, `${module}.d.ts`)) ? `${module}.d.ts` : `${module}/index.d.ts`);
      } else if (!PEERS.some((peer) => name === peer || name.startsWith(`${peer}/`))) {
        throw new Error(
          `The client's types lead to the package "${name}" (in ${path}), which a frontend does not have. ` +
            "Answer with types of the project's own, or take the type out of what routes give and take.",
        );
      }
    }
  }
  return found;
}

/** Runs a tool of the project. @throws Error with what it said */
async function tool(...command: [string, ...string[]]): Promise<void> {
  const child = Bun.spawn([join(CHECKOUT, "node_modules/.bin", command[0]), ...command.slice(1)], {
    cwd: CHECKOUT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command[0]} failed:\n${out}${errors}`);
}

/** Makes the package in `target`. @returns the files in it, relative to it */
export async function buildClient(target: string): Promise<string[]> {
  const emitted = `${target}.types`;
  await Promise.all([target, emitted].map((folder) => rm(folder, { recursive: true, force: true })));
  await mkdir(target, { recursive: true });
  try {
    await tool("tsc", "--project", "tsconfig.client.json", "--outDir", emitted);
    await tool(
      "bun",
      "build",
      "src/client.ts",
      "--target=browser",
      "--format=esm",
      `--outfile=${join(target, "client.js")}`,
      ...PEERS.map((peer) => `--external=${peer}`),
    );
    const types = await declarations(emitted);
    for (const [path, text] of types) {
      await mkdir(dirname(join(target, path)), { recursive: true });
      await writeFile(join(target, path), text);
    }
    const { name, version, license, dependencies } = JSON.parse(
      await readFile(join(CHECKOUT, "package.json"), "utf8"),
    ) as { name: string; version: string; license: string; dependencies: Record<string, string> };
    const manifest = {
      name,
      version,
      license,
      type: "module",
      sideEffects: false,
      exports: { "./client": { types: "./client.d.ts", default: "./client.js" } },
      peerDependencies: Object.fromEntries(PEERS.map((peer) => [peer, `^${dependencies[peer]}`])),
    };
    await writeFile(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    return ["package.json", "client.js", ...types.keys()];
  } finally {
    await rm(emitted, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  readCommandLine(COMMANDS["build:client"]);
  const target = join(CHECKOUT, "dist/client");
  try {
    const files = await buildClient(target);
    console.log(`${relative(CHECKOUT, target)}: ${files.length} files. In a frontend: npm install ${target}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}

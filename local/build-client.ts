/**
 * bun run build:client — the client as a package of its own in `dist/client/`, which a frontend installs: JavaScript
 * without a dependency, and declarations that are worked out already. Its sources are in `client/`.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";
import { honoApi } from "../src/http/client-types";
import { CHECKOUT } from "./paths";

/** What a frontend imports, by its name in the package, and the source that it is made from. */
export const ENTRIES = {
  "./client": "index",
  "./analytics": "analytics",
  "./format": "format",
  "./react": "react",
  "./server": "server",
} as const;

/** Loaded when they are asked for, and so files of their own. */
export const LATER = ["events", "files", "upload"];

/** Runs a program in the checkout. @throws Error with what it said when it fails */
async function run(program: string, words: string[]): Promise<void> {
  const child = Bun.spawn([program, ...words], {
    cwd: CHECKOUT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0)
    throw new Error(`${[program, ...words].join(" ")} failed:\n${said.join("")}`);
}

/** Declarations from the sources, which stand for themselves: the server is not looked at. */
const declare = (target: string): Promise<void> =>
  run(join(CHECKOUT, "node_modules/.bin/tsc"), ["--project", "client", "--outDir", target]);

export async function bundle(target: string, name: string, format: "esm" | "cjs"): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(CHECKOUT, `client/src/${name}.ts`)],
    outdir: target,
    target: "browser",
    format,
    naming: format === "esm" ? "[name].js" : "[name].cjs",
    minify: true,
    external: ["react"],
    plugins: [
      {
        name: "later",
        setup(build) {
          build.onResolve({ filter: new RegExp(`/(${LATER.join("|")})\\.js$`) }, ({ path }) => ({
            path,
            external: true,
          }));
        },
      },
    ],
  });
  if (!built.success) throw new AggregateError(built.logs, "bun build failed");
}

/** Declarations for those who `require`, who must not be led to those of modules. */
async function declareForRequire(target: string): Promise<void> {
  const names = (await readdir(target)).filter((name) => name.endsWith(".d.ts"));
  await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(target, name), "utf8");
      const led = text.replaceAll(/from "(\.\/\w+)\.js"/g, 'from "$1.cjs"');
      await writeFile(join(target, name.replace(/\.d\.ts$/, ".d.cts")), led);
    }),
  );
}

/** Makes the package in `target`. @returns the files in it, relative to it */
export async function buildClient(target: string): Promise<string[]> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const read = (path: string) => readFile(join(CHECKOUT, path), "utf8");
  const [manifest, readme, reference, licence] = await Promise.all(
    ["package.json", "client/README.md", "client/REFERENCE.md", "LICENSE"].map(read),
  );
  const document = join(target, "openapi.json");
  await run(process.execPath, ["src/openapi.cli.ts", document]);
  const hono = honoApi(JSON.parse(await readFile(document, "utf8")));
  await rm(document);
  await Promise.all([
    declare(target),
    ...[...Object.values(ENTRIES), ...LATER].map((name) => bundle(target, name, "esm")),
    ...Object.values(ENTRIES).map((name) => bundle(target, name, "cjs")),
    writeFile(join(target, "hono.d.ts"), hono),
    writeFile(join(target, "hono.js"), "export {};\n"),
    writeFile(join(target, "hono.cjs"), '"use strict";\n'),
    writeFile(join(target, "README.md"), readme ?? ""),
    writeFile(join(target, "REFERENCE.md"), reference ?? ""),
    writeFile(join(target, "LICENSE"), licence ?? ""),
  ]);
  await declareForRequire(target);
  const { name, version, license, dependencies } = JSON.parse(manifest ?? "") as Record<string, string> & {
    dependencies: Record<string, string>;
  };
  const entry = (file: string) => ({
    import: { types: `./${file}.d.ts`, default: `./${file}.js` },
    require: { types: `./${file}.d.cts`, default: `./${file}.cjs` },
  });
  const own = {
    name,
    version,
    license,
    description:
      "The client of the Aizy commerce backend: calls with types, sessions, lists, files and events.",
    type: "module",
    sideEffects: false,
    engines: { node: ">=20.3" },
    exports: {
      ".": entry("index"),
      ...Object.fromEntries(Object.entries(ENTRIES).map(([path, file]) => [path, entry(file)])),
      "./hono": entry("hono"),
      "./package.json": "./package.json",
    },
    // For `./hono` and `./react` alone. TanStack Query takes what `./react` makes for it, and is not asked for by it.
    peerDependencies: { hono: `^${dependencies.hono}`, react: ">=18" },
    peerDependenciesMeta: { hono: { optional: true }, react: { optional: true } },
  };
  await writeFile(join(target, "package.json"), `${JSON.stringify(own, null, 2)}\n`);
  return readdir(target);
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

/**
 * bun local/script.ts NAME [ARGUMENT…] — a script of package.json. Its command line is read before anything is
 * touched; then come the databases and secrets that it needs, as `bin/dev` has them, and its steps, one after
 * the other until one fails.
 */
import { readCommandLine } from "../src/cli";
import { COMMANDS, type CommandName } from "../src/commands";
import { confirmErasing } from "../src/db/confirm";
import { hasClient, unpatched } from "./installed";
import { joinOrExit, runCommand } from "./run";

/** What a script runs. */
interface Script {
  /** Commands; the first one is given the script's arguments. */
  steps: string[][];
  /** Variables of its steps. */
  env?: Record<string, string>;
  /** It needs neither databases nor secrets. */
  alone?: true;
  /** Arguments of the first step when no words are given. */
  otherwise?: string[];
}

const bun = (...words: string[]): string[] => ["bun", ...words];

/**
 * Keeps memory low in programs that walk a whole catalogue. JavaScriptCore sizes its heap by the RAM that it believes
 * there is, so it is told 128 MB, and how much more than what is alive there may be. It looks at what is new after each
 * 8 MB, and only now and then at everything: with a factor below 1.5 it does that each second time, which takes a third
 * of the whole. It collects by one thread and without letting the program go on, which would make more garbage meanwhile;
 * its last compiler takes more memory than the tenth of the time that it saves is worth here; and mimalloc returns freed
 * pages at once.
 */
const FRUGAL = {
  BUN_JSC_forceRAMSize: String(128 * 2 ** 20),
  BUN_JSC_mediumHeapGrowthFactor: "1.6",
  BUN_JSC_largeHeapGrowthFactor: "1.6",
  BUN_JSC_gcMaxHeapSize: String(8 * 2 ** 20),
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_useFTLJIT: "0",
  MIMALLOC_PURGE_DELAY: "0",
};

/** What can be run in production: the server, and every command that docs/operations.md gives for the image. */
const ENTRIES = [
  ...["src/index.ts", "src/db/migrate.ts", "prisma/seed.ts", "src/users/admin.cli.ts"],
  ...[
    "src/backup/backup.cli.ts",
    "src/backup/restore.cli.ts",
    "src/jobs/jobs.cli.ts",
    "src/auth/reencrypt.cli.ts",
  ],
  ...["src/inventory/verify.cli.ts", "src/products/search/rebuild.cli.ts", "src/analytics/rebuild.cli.ts"],
  ...["src/products/bulk/import.cli.ts", "src/products/bulk/export.cli.ts"],
];
/** Native addons, and files that are read where they lie. */
const EXTERNAL = ["argon2", "sharp", "swagger-ui-dist", "pino-pretty"];

/** The command that bundles all of it into a folder of the checkout. What several share lies there once. */
export const bundleInto = (folder: string): string[] => [
  ...bun("build", ...ENTRIES, "--target=bun", `--outdir=${folder}`, "--root=.", "--splitting"),
  ...["--minify-syntax", "--minify-whitespace", "--sourcemap=linked"],
  ...EXTERNAL.flatMap((name) => ["--external", name]),
];

const SCRIPTS: Record<CommandName, Script> = {
  start: { steps: [bun("src/index.ts")] },
  build: {
    steps: [["rm", "-rf", "dist"], bundleInto("dist"), bun("src/openapi.cli.ts", "dist/openapi.json")],
    alone: true,
  },
  "build:client": { steps: [bun("local/build-client.ts")], alone: true },
  lint: {
    steps: [
      ["biome", "check"],
      bun("node_modules/knip/bin/knip.js", "--no-progress"),
      bun("node_modules/cspell/bin.mjs", "lint", "--no-progress", "--no-summary"),
    ],
    alone: true,
    otherwise: ["."],
  },
  format: { steps: [["biome", "check", "--write"]], alone: true, otherwise: ["."] },
  typecheck: { steps: [["tsc", "--noEmit", "--checkers", "1"]], alone: true },
  generate: { steps: [bun("local/generate.ts")], alone: true },
  migrate: { steps: [bun("src/db/migrate.ts")] },
  "migrate:status": { steps: [bun("src/db/migrate.ts", "status")] },
  "migrate:resolve": { steps: [bun("src/db/migrate.ts", "resolve")] },
  "migrate:reset": { steps: [bun("src/db/migrate.ts", "reset"), bun("prisma/seed.ts")] },
  "migrate:dev": { steps: [["prisma", "migrate", "dev"]] },
  seed: { steps: [bun("prisma/seed.ts")] },
  studio: { steps: [["prisma", "studio"]] },
  "db:check": { steps: [bun("prisma/check.ts")] },
  "db:studio": { steps: [["drizzle-kit", "studio"]] },
  import: { steps: [bun("--smol", "src/products/bulk/import.cli.ts")], env: FRUGAL },
  export: { steps: [bun("--smol", "src/products/bulk/export.cli.ts")], env: FRUGAL },
  backup: { steps: [bun("src/backup/backup.cli.ts")] },
  restore: { steps: [bun("src/backup/restore.cli.ts")] },
  reencrypt: { steps: [bun("src/auth/reencrypt.cli.ts")] },
  "analytics:rebuild": { steps: [bun("src/analytics/rebuild.cli.ts")] },
  jobs: { steps: [bun("src/jobs/jobs.cli.ts")] },
  demo: { steps: [bun("src/demo.ts")] },
  bench: { steps: [bun("bench/index.ts")] },
  faults: { steps: [bun("test/faults/table.ts")] },
  race: { steps: [bun("test/race.ts")] },
  admin: { steps: [bun("src/users/admin.cli.ts")] },
  search: { steps: [bun("src/products/search/rebuild.cli.ts")] },
  "search:rebuild": { steps: [bun("src/products/search/rebuild.cli.ts", "rebuild")] },
  "stock:verify": { steps: [bun("src/inventory/verify.cli.ts")] },
  openapi: { steps: [bun("src/openapi.cli.ts")], alone: true },
  contract: { steps: [bun("test/contract/tools/check.ts")], alone: true },
};

const isScript = (name: string | undefined): name is CommandName =>
  name !== undefined && Object.hasOwn(SCRIPTS, name);

async function main(name: string | undefined, words: string[]): Promise<number> {
  if (!isScript(name)) {
    console.error(
      `Usage: bun local/script.ts NAME [ARGUMENT…]\nNAME is one of ${Object.keys(SCRIPTS).join(", ")}.`,
    );
    return 2;
  }
  const { values, positionals } = readCommandLine(COMMANDS[name], words);
  const missing = await unpatched();
  if (missing.length > 0) {
    console.error(
      `${missing.join(" and ")} were installed without our patches, which only Bun applies. Run: rm -rf node_modules; bun install`,
    );
    return 1;
  }
  if (name !== "generate" && !hasClient()) {
    const code = await runCommand(bun("local/generate.ts"), {});
    if (code !== 0) return code;
  }
  const { steps, alone, otherwise = [], env: own } = SCRIPTS[name];
  let given = positionals.length === 0 ? [...words, ...otherwise] : words;
  const joined = alone ? undefined : await joinOrExit();
  const env: Record<string, string> = { ...joined?.env, ...own };
  // It signs in as the administrator that `bin/dev` made, on whatever databases that runs.
  if (name === "demo" && joined) env.SEED_ADMIN_PASSWORD ??= joined.adminPassword;
  if (name === "migrate:dev") {
    // Prisma has a question of its own, but asks it of any database.
    const { confirm = [], ...options } = values as Record<string, string[] | undefined>;
    await confirmErasing({ ...process.env, ...env }, confirm, ["MySQL"]);
    given = Object.entries(options).flatMap(([key, value]) =>
      typeof value === "string" ? [`--${key}`, value] : [`--${key}`],
    );
  }
  for (const step of steps) {
    const code = await runCommand(step === steps[0] ? [...step, ...given] : step, env);
    if (code !== 0) return code;
  }
  return 0;
}

if (import.meta.main) {
  const [name, ...words] = process.argv.slice(2);
  process.exit(
    await main(name, words).catch((error: Error) => {
      console.error(error.message);
      return 1;
    }),
  );
}

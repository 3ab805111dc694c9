import { type Config, parseConfig } from "../src/config";
import { emailKey } from "../src/lib/email";
import { silentLogger } from "../src/telemetry/log";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { dropWorkerDatabases, openWorkerDatabases } from "../test/databases";

/** What a benchmark was asked for. */
export const options = {
  quick: process.argv.includes("--quick"),
  check: process.argv.includes("--check"),
};

/** The value below which a share (0 to 1) of the values lies; 0 of none. */
export const percentile = (values: number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

/** One goal and what was measured. */
export interface Goal {
  name: string;
  measured: number;
  unit: string;
  /** Met at or below, or at or above. */
  goal: ["<=" | ">=", number];
}

/** Prints the goals and how many were met. @returns the exit code: 1 when one was missed and `--check` asks */
export function reportGoals(goals: Goal[]): number {
  const rows = goals.map(({ name, measured, unit, goal: [compare, bound] }) => {
    const met = compare === "<=" ? measured <= bound : measured >= bound;
    const digits = measured < 10 ? 2 : 0;
    return {
      met,
      cells: [name, `${measured.toFixed(digits)} ${unit}`, `${compare} ${bound}`, met ? "ok" : "MISSED"],
    };
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map(({ cells }) => cells[column]?.length ?? 0)));
  console.log("\ngoals");
  for (const { cells } of rows)
    console.log(`  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`);
  const met = rows.filter((row) => row.met).length;
  console.log(`goals: ${met} of ${rows.length}`);
  return options.check && met < rows.length ? 1 : 0;
}

/** Calls made by a number of callers side by side, each the next one when its last is done. */
export interface Load {
  perSecond: number;
  p50: number;
  p95: number;
  p99: number;
  count: number;
}

/** @param call gets the number of the call; @returns calls a second and how long they took, in milliseconds */
export async function load(
  callers: number,
  seconds: number,
  call: (index: number) => Promise<unknown>,
  rate = Number.POSITIVE_INFINITY,
): Promise<Load> {
  const times: number[] = [];
  let index = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        const own = index++;
        const early = start + (own / rate) * 1000 - performance.now();
        if (early > 0) await Bun.sleep(early);
        const before = performance.now();
        await call(own);
        times.push(performance.now() - before);
      }
    }),
  );
  return {
    perSecond: (times.length / (performance.now() - start)) * 1000,
    p50: percentile(times, 0.5),
    p95: percentile(times, 0.95),
    p99: percentile(times, 0.99),
    count: times.length,
  };
}

/**
 * Runs `work` on databases of its own beside those that the environment names, and drops them afterwards.
 * The environment names them meanwhile.
 */
export async function onThrowAwayDatabases<T>(work: () => Promise<T>): Promise<T> {
  const base = { databaseUrl: process.env.DATABASE_URL ?? "", mongodbUri: process.env.MONGODB_URI ?? "" };
  const worker = await openWorkerDatabases(base);
  process.env.DATABASE_URL = worker.databaseUrl;
  process.env.MONGODB_URI = worker.mongodbUri;
  try {
    return await work();
  } finally {
    await dropWorkerDatabases(worker);
  }
}

/** Works with the databases that the environment names. */
export async function withDeps<T>(work: (deps: Deps, config: Config) => Promise<T>): Promise<T> {
  const config = parseConfig(process.env);
  const deps = createDeps(config, silentLogger());
  try {
    await deps.mongo.connection.asPromise();
    return await work(deps, config);
  } finally {
    await deps.close();
  }
}

/** Adds somebody who can sign in, with a role if one is named. @returns their id */
export async function addPerson(
  deps: Deps,
  {
    email,
    name,
    hashedPassword,
    role,
  }: { email: string; name: string; hashedPassword: string; role?: string },
): Promise<string> {
  const now = deps.clock.now();
  const made = { id: deps.random.id(), email, emailCanonical: emailKey(email), name, now };
  const { id } = await deps.users.findOrCreate(made);
  await deps.users.verify(id, { name, email, hashedPassword, now });
  if (role !== undefined) await deps.roles.grantNamed(id, role, now);
  return id;
}

/**
 * Imports a file of so many new products by `bun run import`. Progress goes to this terminal.
 * @returns the most memory that it took, in MB
 */
export async function importByCommand(file: string, products: number): Promise<number> {
  const bun = process.execPath;
  const child = Bun.spawn([bun, "bench/measured.ts", bun, "local/script.ts", "import", file], {
    // Given, because the names of the databases were changed since the start.
    env: { ...process.env },
    stdout: "pipe",
    stderr: "inherit",
  });
  const output = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`the import failed: ${output}`);
  if (!output.includes(`${products} created`))
    throw new Error(`the import did not make every product: ${output}`);
  return Number(/^memory (\d+)$/m.exec(output)?.[1]) / 1e6;
}

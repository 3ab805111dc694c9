/** Copies of this checkout with databases of their own, for tests that kill them. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHECKOUT } from "../local/paths";
import { lines } from "../local/processes";

/** Whether these tests can start local databases of their own here, as the run itself did. */
export const canStart =
  process.platform === "linux" && process.getuid?.() === 0 && Boolean(process.env.AIZY_LOCAL_POSTGRES);
/** A hang guard, in milliseconds: far above what a start takes on a machine that does much else. */
export const PATIENCE = 240_000;

/** A copy of this checkout without its data, sharing only the packages. */
export function copyCheckout(): string {
  const copy = mkdtempSync(join(tmpdir(), "aizy-checkout-"));
  for (const name of [
    "bin",
    "client",
    "local",
    "patches",
    "prisma",
    "src",
    "package.json",
    "bun.lock",
    "tsconfig.json",
    "prisma.config.ts",
    "bunfig.toml",
  ]) {
    cpSync(join(CHECKOUT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(CHECKOUT, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** The environment of a newcomer: nothing of this run's own. */
export function newcomer(added: Record<string, string> = {}): Record<string, string> {
  const { PATH = "", HOME = "", XDG_CACHE_HOME } = process.env;
  return { PATH, HOME, ...(XDG_CACHE_HOME ? { XDG_CACHE_HOME } : {}), ...added };
}

/** Starts a command and collects its output; `until` waits for a line. */
export function startIn(command: string[], cwd: string, env = newcomer()) {
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const line of lines(stream)) output += `${line}\n`;
  };
  const done = Promise.all([collect(child.stdout), collect(child.stderr)]);
  return {
    child,
    output: () => output,
    async until(pattern: RegExp): Promise<void> {
      for (const deadline = Date.now() + PATIENCE; !pattern.test(output); await Bun.sleep(20)) {
        if (Date.now() > deadline) child.kill("SIGKILL");
        if (child.exitCode !== null || child.signalCode !== null) {
          await done;
          if (!pattern.test(output)) throw new Error(`${pattern} did not come:\n${output}`);
        }
      }
    },
    async end(): Promise<number> {
      const code = await child.exited;
      await done;
      return code;
    },
  };
}

/** Processes whose command line or mount shows that they belong to a checkout. */
export function processesOf(checkout: string): string[] {
  const listing = Bun.spawnSync(["ps", "-eo", "pid=,stat=,args="]).stdout.toString().split("\n");
  const ports = existsSync(join(checkout, ".data/ports.json"))
    ? Object.values(
        JSON.parse(readFileSync(join(checkout, ".data/ports.json"), "utf8")) as Record<string, number>,
      )
    : [];
  return listing.filter(
    (line) =>
      !/^\s*\d+\s+Z/.test(line) &&
      (line.includes(checkout) ||
        ports.some((port) => /mysqld|postgres/.test(line) && line.includes(String(port)))),
  );
}

/** A process as the kernel shows it. */
export interface Seen {
  name: string;
  /** The number alone may be another process's by now. */
  identity: string;
  mounts: string;
}

/** What the kernel says of a process that runs; nothing once it is gone or waits to be reaped. */
function look(pid: string): Seen | undefined {
  try {
    // The fields behind the name, which may hold anything: state, …, and at 19 when it started (proc(5)).
    const [, name = "", rest = ""] =
      /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    const fields = rest.split(" ");
    if (fields[0] === "Z") return undefined;
    return { name, identity: `${pid} ${fields[19]}`, mounts: readlinkSync(`/proc/${pid}/ns/mnt`) };
  } catch {
    return undefined; // It ended between two looks.
  }
}

/** PostgreSQL of a checkout: the number of its first process, and every process that shares its mounts. */
export function postgresOf(checkout: string): { postmaster: number; all: Seen[] } {
  const ports = JSON.parse(readFileSync(join(checkout, ".data/ports.json"), "utf8")) as { postgres: number };
  for (const line of processesOf(checkout)) {
    const pid = Number.parseInt(line, 10);
    const postmaster = look(String(pid));
    if (postmaster?.name !== "postgres" || !line.includes(`-p ${ports.postgres} `)) continue;
    const running = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (look(name) ?? []) : []));
    return { postmaster: pid, all: running.filter(({ mounts }) => mounts === postmaster.mounts) };
  }
  throw new Error("PostgreSQL does not run");
}

/** Those of them that have not ended. */
export const stillRun = (seen: Seen[]): Seen[] =>
  seen.filter(({ identity }) => look(identity.split(" ")[0] ?? "")?.identity === identity);

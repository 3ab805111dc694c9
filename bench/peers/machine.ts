/** What Linux says of processes: which runs where, and what it took. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Length of a tick of /proc, in microseconds. */
const TICK = 10_000;

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
};

/** The parts of /proc/PID/stat behind the name, which may hold spaces. */
const statOf = (pid: number): string[] =>
  read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");

const processes = (): number[] => readdirSync("/proc").map(Number).filter(Number.isInteger);

/** A process and all below it. */
export function familyOf(roots: number[]): number[] {
  const parents = new Map(processes().map((pid) => [pid, Number(statOf(pid)[1])]));
  const family = new Set(roots);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const [pid, parent] of parents) if (family.has(parent)) family.add(pid);
  }
  return [...family];
}

/** Processor time that these processes have taken, with that of their children that ended, in microseconds. */
export const processorTime = (pids: number[]): number =>
  pids
    .flatMap((pid) => statOf(pid).slice(11, 15).map(Number))
    .filter(Number.isFinite)
    .reduce((sum, ticks) => sum + ticks * TICK, 0);

/** How busy the machine's processors were over some milliseconds, from 0 to 1. */
async function busyFor(milliseconds: number): Promise<number> {
  const times = () => {
    const [all = ""] = read("/proc/stat").split("\n");
    const ticks = all.split(/\s+/).slice(1).map(Number);
    return { all: ticks.reduce((sum, tick) => sum + tick, 0), idle: (ticks[3] ?? 0) + (ticks[4] ?? 0) };
  };
  const before = times();
  await Bun.sleep(milliseconds);
  const after = times();
  return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all);
}

/** Waits until nothing else is done on this machine (a database tidies up after many writes), ten minutes at most. */
export async function untilIdle(): Promise<void> {
  for (let quiet = 0, tries = 0; quiet < 6 && tries < 120; tries++)
    quiet = (await busyFor(5000)) < 0.1 ? quiet + 1 : 0;
}

/** Memory that these processes hold in RAM, in MB. */
export const residentMegabytes = (pids: number[]): number =>
  pids
    .map((pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024)
    .reduce((sum, size) => sum + size, 0);

/** The process of this machine that listens on a port; undefined when there is none, or it is not ours to see. */
function listenerOf(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((path) => read(path).split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , state]) => local.endsWith(`:${hex}`) && state === "0A")
    .map((parts) => `socket:[${parts[9]}]`);
  return processes().find((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) =>
        sockets.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)),
      );
    } catch {
      return false;
    }
  });
}

/** The processes of the databases that the environment names, where they run on this machine. */
export function databaseProcesses(env: Record<string, string | undefined>): number[] {
  const ports = [env.DATABASE_URL, env.MONGODB_URI].map((url) =>
    Number(/:(\d+)\/[^/]*$/.exec(url ?? "")?.[1]),
  );
  if (env.AIZY_LOCAL_POSTGRES !== undefined) {
    ports.push((JSON.parse(env.AIZY_LOCAL_POSTGRES) as { port: number }).port);
  }
  return familyOf(ports.flatMap((port) => listenerOf(port) ?? []));
}

/** Lets processes with all their threads run on these processors alone, such as "1" or "0,1". */
export function pin(pids: number[], processors: string): void {
  for (const pid of pids) Bun.spawnSync(["taskset", "-apc", processors, String(pid)]);
}

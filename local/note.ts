/** What a running `bin/dev` leaves for others: its process and its address. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DATA } from "./paths";

const NOTE = join(DATA, "dev.json");

export interface RunningDev {
  pid: number;
  address: string;
}

/** The `bin/dev` of this checkout that runs already. */
export function runningDev(): RunningDev | undefined {
  try {
    const note = JSON.parse(readFileSync(NOTE, "utf8")) as RunningDev;
    // The number may have been taken by another program since.
    return readFileSync(`/proc/${note.pid}/cmdline`, "utf8").includes("local/dev.ts") ? note : undefined;
  } catch {
    return undefined;
  }
}

/** Leaves the note of this process until it ends. */
export function leaveNote(address: string): void {
  writeFileSync(NOTE, JSON.stringify({ pid: process.pid, address } satisfies RunningDev));
  process.on("exit", () => rmSync(NOTE, { force: true }));
}

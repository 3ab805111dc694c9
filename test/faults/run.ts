/** One fault from its beginning to what came of it. */
import { verifyAll } from "../../src/inventory/verify";
import { failed, type Outcome } from "./bounds";
import { compare, countExports } from "./compare";
import { type Load, startLoad } from "./load";
import type { Fault } from "./rows";
import { makeStock, type World } from "./world";

/** The longest wait for a recovery, in seconds. */
const PATIENCE = 90;

/** Waits until no call has failed for `quiet` seconds. @returns when the last one failed */
async function untilQuiet(load: Load, from: number, quiet: number): Promise<number> {
  for (;;) {
    await Bun.sleep(250);
    const last = load.calls.findLast(failed)?.ended ?? from;
    const now = performance.now();
    if (now - Math.max(last, from) > quiet * 1000) return last;
    if (now - from > PATIENCE * 1000) return now;
  }
}

/**
 * Makes a fault on servers under load, takes it away, and compares.
 * @param run a name that no other run has
 * @param seconds of load before the fault, and without any failure after it, which count as recovered
 */
export async function runFault(
  world: World,
  fault: Fault,
  run: string,
  { before, quiet } = { before: 4, quiet: 4 },
): Promise<Outcome> {
  await (fault.start ? fault.start(world) : world.start());
  await world.ready();
  const exportsBefore = await countExports(world.deps);
  const load = startLoad(world.addresses(), world.accounts, { run, locationId: await makeStock(world, run) });
  await Bun.sleep(before * 1000);
  await fault.begin(world);
  await Bun.sleep(fault.seconds * 1000);
  await fault.end?.(world);
  const from = performance.now();
  const recovered = Math.max(0, (await untilQuiet(load, from, quiet)) - from) / 1000;
  await load.stop();
  await world.ready();
  const deps = { ...world.deps, storage: world.storage() };
  const found = await compare(deps, world.addresses()[0] ?? "", load.acknowledged, {
    mails: world.mails,
    exportsBefore,
  });
  const { differences } = await verifyAll(world.deps);
  await world.stop();
  return { ...found, calls: load.calls, recovered, differences: differences.length };
}

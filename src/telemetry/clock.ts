import type { BaseDeps } from "../deps";
import { type ClockOffsets, SECOND, type SharedClock } from "../lib/clock";

/** How often clocks are compared, and how often until a database has answered, in milliseconds. */
const [EVERY, AT_FIRST] = [10 * SECOND, SECOND];
/** How long the start of work that leases waits for a first comparison, in milliseconds. */
const PATIENCE = 10 * SECOND;

/**
 * Compares a process's clock with those of the databases' machines until the process stops, adds the offsets to the
 * measurements, and logs when a clock begins to differ and when all agree again.
 * @returns `looked` after the first try, `known` when a database has answered, or has not for ten seconds
 */
export function keepTime(
  { metrics, log, stopping }: Pick<BaseDeps, "metrics" | "log" | "stopping">,
  clock: SharedClock,
): { looked: Promise<void>; known: Promise<void> } {
  let offsets: ClockOffsets | undefined;
  let isCurrent = false;
  metrics.gauge(
    "aizy_clock_offset_seconds",
    "How far a machine's clock is ahead of the time that is used; 0 up to a second, behind it negative",
    "of",
    async () => {
      if (offsets === undefined || !isCurrent) throw new Error("no database has said what time it is");
      return Object.fromEntries(Object.entries(offsets).map(([of, offset]) => [of, offset / SECOND]));
    },
  );
  const wrongOf = (found: ClockOffsets = {}) => Object.keys(found).filter((name) => found[name] !== 0);
  const compare = async () => {
    const found = await clock.compare();
    // Databases that do not answer are told of by what needs them.
    isCurrent = found !== undefined;
    if (found === undefined) return;
    const [before, wrong] = [wrongOf(offsets), wrongOf(found)];
    offsets = found;
    if (wrong.some((name) => !before.includes(name)))
      log.warn({ offsetMs: found }, "clocks of this machine and of the databases' differ: set all by NTP");
    else if (wrong.length === 0 && before.length > 0) log.info("all clocks agree again");
  };
  const known = Promise.withResolvers<void>();
  const patience = setTimeout(known.resolve, PATIENCE);
  patience.unref();
  const again = async (): Promise<void> => {
    await compare();
    if (offsets !== undefined) known.resolve();
    if (stopping.signal.aborted) return;
    setTimeout(again, offsets === undefined ? AT_FIRST : EVERY).unref();
  };
  return { looked: again(), known: known.promise };
}

import type { BaseDeps } from "../deps";
import { type ClockDifferences, SECOND, type SharedClock } from "../lib/clock";

/** How often clocks are compared, in milliseconds. */
const EVERY = 10 * SECOND;

/**
 * Compares a process's clock with those of the databases' machines, now and every ten seconds; adds the differences to
 * the measurements, and logs when a clock begins to differ and when all agree again.
 * @returns after the first comparison
 */
export async function keepTime({ metrics, log }: BaseDeps, clock: SharedClock): Promise<void> {
  let ahead: ClockDifferences = { machine: 0 };
  metrics.gauge(
    "aizy_clock_ahead_seconds",
    "How far a machine's clock is ahead of the time that is used; 0 within a second, behind it negative",
    "of",
    async () =>
      Object.fromEntries(Object.entries(ahead).map(([of, difference]) => [of, difference / SECOND])),
  );
  const compare = async () => {
    const found = await clock.compare();
    // Databases that do not answer are told of by what needs them; time goes on from the last comparison.
    if (found === undefined) return;
    const wrongOf = (differences: ClockDifferences) =>
      Object.keys(differences).filter((name) => differences[name] !== 0);
    const [before, wrong] = [wrongOf(ahead), wrongOf(found)];
    ahead = found;
    if (wrong.some((name) => !before.includes(name))) {
      log.warn(
        { aheadMs: found },
        "clocks of this machine and of the databases' differ; what most say is used. Set all by NTP",
      );
    } else if (wrong.length === 0 && before.length > 0) log.info("all clocks agree again");
  };
  setInterval(compare, EVERY).unref();
  await compare();
}

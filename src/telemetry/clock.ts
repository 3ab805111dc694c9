import type { BaseDeps } from "../deps";
import { SECOND, type SharedClock } from "../lib/clock";

/** How often this machine's time is compared with the database's, in milliseconds. */
const EVERY = 10 * SECOND;

/**
 * Compares a process's clock with the database's now and every ten seconds, adds the difference to the measurements, and
 * logs when the two part and when they agree again.
 * @returns after the first comparison, or when the database could not be asked
 */
export async function keepTime({ metrics, log }: BaseDeps, clock: SharedClock): Promise<void> {
  let ahead = 0;
  metrics.gauge(
    "aizy_clock_ahead_seconds",
    "How far this machine's clock is ahead of MySQL's; 0 within a second, behind it negative",
    "of",
    async () => ({ machine: ahead / SECOND }),
  );
  const compare = async () => {
    const difference = await clock.compare();
    if (difference === undefined) return;
    if (difference !== 0 && ahead === 0) {
      log.warn(
        { aheadSeconds: difference / SECOND },
        "this machine's clock differs from that of MySQL's machine, which is used meanwhile: set both by NTP",
      );
    } else if (difference === 0 && ahead !== 0) log.info("this machine's clock agrees with MySQL's again");
    ahead = difference;
  };
  // A database that does not answer is told of by what needs it; time goes on from the last comparison.
  const look = () => compare().catch((error) => log.debug({ err: error }, "clocks were not compared"));
  setInterval(look, EVERY).unref();
  await look();
}

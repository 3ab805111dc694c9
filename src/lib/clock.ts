import { within } from "./within";

/** Where the time comes from; tests set it. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

/** Milliseconds in the units that the rules are written in. */
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** A time some milliseconds after another. */
export const after = (time: Date, milliseconds: number): Date => new Date(time.getTime() + milliseconds);

/** The last midnight of UTC by a time, both in milliseconds. */
export const midnightBefore = (time: number): number => Math.floor(time / DAY) * DAY;

/** The first midnight of UTC after a time. */
export const dayAfter = (time: Date): Date => new Date(midnightBefore(time.getTime()) + DAY);

/** Waits, at most until the signal is aborted. @param milliseconds of the process's own time, not a `Clock`'s */
export const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener("abort", wake);
  });

/** From which difference on this machine's clock is not used, and below which it is again, in milliseconds. */
const [TOO_FAR, NEAR] = [SECOND, SECOND / 2];

/** How far the clocks of machines are ahead of the time that is used, in milliseconds; 0 up to a second. */
export type ClockOffsets = Record<string, number>;

/**
 * The time that all processes agree on: this machine's own, unless the clocks of the databases' machines say that it is
 * more than a second off. Leases of jobs and of Idempotency-Keys, the end of a reservation and of a code are written by
 * one machine and read by another, and a clock that is minutes ahead would end them too early. Between two comparisons
 * it goes on by the process's monotonic clock.
 */
export interface SharedClock extends Clock {
  /**
   * Compares this machine's clock with the databases'. The middle one of the three counts, so that one which is wrong
   * moves nobody; with one database known, that one, because other processes go by it too. What a database said last
   * counts until it says something else.
   * @returns the offsets of this machine and of each database that was ever heard; undefined when none answered now
   */
  compare(): Promise<ClockOffsets | undefined>;
}

/**
 * @param databases how the time of each database's machine is asked for, by name; at most two
 * @param wallClock this machine's time, in milliseconds
 * @param monotonic a time that only goes on, in milliseconds
 */
export function createSharedClock(
  databases: Record<string, () => Promise<Date>>,
  wallClock: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): SharedClock {
  /** Each clock as the time that it showed when the monotonic one was 0. */
  let used = wallClock() - monotonic();
  let isOwn = true;
  const known = new Map<string, number>();

  /** @returns whether the database answered in time: half of the way there and back is not known */
  const ask = async (name: string, now: () => Promise<Date>): Promise<boolean> => {
    const asked = monotonic();
    const theirs = await within(TOO_FAR, name, now());
    const answered = monotonic();
    if (answered - asked > TOO_FAR) return false;
    known.set(name, theirs.getTime() - (asked + answered) / 2);
    return true;
  };

  return {
    now: () => new Date(used + monotonic()),
    async compare() {
      const asked = Object.entries(databases).map(([name, now]) => ask(name, now).catch(() => false));
      if (!(await Promise.all(asked)).includes(true)) return undefined;
      const own = wallClock() - monotonic();
      const [one = own, other] = known.values();
      const agreed = other === undefined ? one : ([own, one, other].sort((a, b) => a - b)[1] as number);
      isOwn = Math.abs(own - agreed) <= (isOwn ? TOO_FAR : NEAR);
      used = isOwn ? own : agreed;
      const offsets = [["machine", own] as const, ...known].map(
        ([name, clock]) => [name, Math.abs(clock - used) <= TOO_FAR ? 0 : clock - used] as const,
      );
      return Object.fromEntries(offsets);
    },
  };
}

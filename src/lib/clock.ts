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

/** Up to which difference two clocks count as the same, in milliseconds. */
const TOLERANCE = SECOND;

/** By how much the clocks of machines are ahead of the time that is used, in milliseconds; 0 within a second. */
export type ClockDifferences = Record<string, number>;

/**
 * The time that all processes agree on: this machine's, as long as it is within a second of what the databases' machines
 * say, and theirs otherwise. Leases of jobs and of Idempotency-Keys, the end of a reservation and of a code are written
 * by one machine and read by another, and a clock that is minutes ahead would end them too early. Between two looks it
 * goes on by the process's monotonic time, so that a clock that is set moves nothing.
 */
export interface SharedClock extends Clock {
  /**
   * Compares this machine's clock with the databases'. With two of them the middle one of the three counts, so that
   * one which is wrong harms nobody; with one, the database's, because others go by it too.
   * @returns of this machine and of each database that answered within a second; undefined when none did
   */
  compare(): Promise<ClockDifferences | undefined>;
}

/**
 * @param databases how the time of each database's machine is asked for, by name
 * @param ofDay this machine's time, in milliseconds
 * @param monotonic a time that only goes on, in milliseconds
 */
export function createSharedClock(
  databases: Record<string, () => Promise<Date>>,
  ofDay: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): SharedClock {
  /** The time at which the monotonic one was 0. */
  let start = ofDay() - monotonic();
  /** The same by a database's clock; nothing when that is not known to half a second. */
  const startBy = async (ask: () => Promise<Date>): Promise<number[]> => {
    const asked = monotonic();
    const theirs = (await ask()).getTime();
    const answered = monotonic();
    return answered - asked > TOLERANCE ? [] : [theirs - (asked + answered) / 2];
  };
  return {
    now: () => new Date(start + monotonic()),
    async compare() {
      const asked = Object.entries(databases).map(
        async ([name, ask]) => [name, await startBy(ask).catch(() => [])] as const,
      );
      const answers = await Promise.all(asked);
      const [one, other] = answers.flatMap(([, known]) => known);
      if (one === undefined) return undefined;
      const own = ofDay() - monotonic();
      const agreed =
        other === undefined ? one : Math.max(Math.min(own, one), Math.min(Math.max(own, one), other));
      const aheadOf = (clock: number, time: number) =>
        Math.abs(clock - time) <= TOLERANCE ? 0 : clock - time;
      start = aheadOf(own, agreed) === 0 ? own : agreed;
      const known = answers.flatMap(([name, [clock]]) =>
        clock === undefined ? [] : [[name, aheadOf(clock, start)] as const],
      );
      return { machine: aheadOf(own, start), ...Object.fromEntries(known) };
    },
  };
}

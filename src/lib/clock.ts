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

/** How far this machine's time may be from the database's before the database's is used, in milliseconds. */
const TOLERANCE = SECOND;

/**
 * The time that all processes of one database agree on: this machine's, as long as it is within a second of the
 * database's, and the database's otherwise. Leases of jobs and of Idempotency-Keys, the end of a reservation and of a
 * code are written by one machine and read by another, and a clock that is minutes ahead would end them too early.
 * Between two looks it goes on by the process's monotonic time, so that a clock that is set moves nothing.
 */
export interface SharedClock extends Clock {
  /**
   * Compares this machine's time with the database's.
   * @returns by how much this machine's is ahead when that is more than can be put down to the way there and back, in
   * milliseconds; 0 otherwise, and undefined when the database took too long to be compared with
   * @throws what the database says when it cannot be asked
   */
  compare(): Promise<number | undefined>;
}

/** @param ask the database's time. The others are this machine's, in milliseconds: of the day, and monotonic. */
export function createSharedClock(
  ask: () => Promise<Date>,
  ofDay: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): SharedClock {
  /** The time at which the monotonic one was 0. */
  let start = ofDay() - monotonic();
  return {
    now: () => new Date(start + monotonic()),
    async compare() {
      const asked = monotonic();
      const theirs = (await ask()).getTime();
      const answered = monotonic();
      if (answered - asked > TOLERANCE) return undefined;
      const own = ofDay() - answered;
      const database = theirs - (asked + answered) / 2;
      const isAgreed = Math.abs(own - database) <= TOLERANCE;
      start = isAgreed ? own : database;
      return isAgreed ? 0 : own - database;
    },
  };
}

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

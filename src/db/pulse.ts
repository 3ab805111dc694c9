/** How often it is looked whether a database answers, in milliseconds, while somebody waits for it or it is down. */
const BEAT = 500;
/** Looks in a row that have to fail: one alone may be this process's own fault, when it is busy. */
const FAILURES = 2;
/** The pause between them, in milliseconds. */
const AGAIN = 200;
/** How long a look may take, in milliseconds: of a database that somebody waits for, and of one that is down. */
const [LIMIT, LIMIT_DOWN] = [800, 2500];

/** Longest wait for the answer to a ping, in milliseconds. */
export const PING_LIMIT = 2000;

/** Waits for an answer, but not for longer than `limit` milliseconds. @throws what `work` does, or that it is late */
export async function within<T>(limit: number, database: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${database} did not answer within ${limit} ms`)), limit);
    timer.unref();
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Ends waits for a database that does not answer, and refuses at once as long as it is known to be down. */
export interface Pulse {
  /**
   * Runs `work`, unless the database is down.
   * @param refused called when `work` is not waited for any longer, or was not begun
   * @param isAnswer false for what may succeed without a word of the database, such as a connection of the pool
   * @throws what `unavailable` makes, also while `work` still runs
   * @example await pulse.guard(() => pool.execute("SELECT 1"))
   */
  guard<T>(work: () => Promise<T>, refused?: () => void, isAnswer?: boolean): Promise<T>;
  close(): void;
}

/**
 * Nobody is looked after while every answer comes within half a second, so a database in good order is asked nothing.
 * One that is only slow still answers somebody: then nobody is refused.
 * @param look asks the database for a sign of life, for as many milliseconds as it is given
 * @param unavailable makes the error that whoever asks gets
 */
export function createPulse(
  look: (limit: number) => Promise<unknown>,
  unavailable: (cause: unknown) => Error,
): Pulse {
  /** Who waits, the oldest first, and since when. */
  const waiting = new Map<(error: Error) => void, number>();
  let down: Error | undefined;
  let failures = 0;
  let answers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const schedule = (milliseconds: number) => {
    if (closed) return;
    timer = setTimeout(beat, milliseconds);
    timer.unref();
  };
  const beat = async () => {
    const [oldest] = waiting.values();
    if (down === undefined && oldest === undefined) {
      timer = undefined;
      failures = 0;
      return;
    }
    const young = (oldest ?? 0) + BEAT - performance.now();
    if (down === undefined && young > 0) return schedule(young);
    const before = answers;
    try {
      await look(down === undefined ? LIMIT : LIMIT_DOWN);
      failures = 0;
      down = undefined;
    } catch (error) {
      failures = answers > before ? 0 : failures + 1;
      if (failures >= FAILURES) {
        down = unavailable(error);
        for (const refuse of [...waiting.keys()]) refuse(down);
        waiting.clear();
      }
    }
    schedule(down === undefined && failures > 0 ? AGAIN : BEAT);
  };

  return {
    guard(work, refused, isAnswer = true) {
      if (down !== undefined) {
        refused?.();
        return Promise.reject(down);
      }
      return new Promise((resolve, reject) => {
        const refuse = (error: Error) => {
          refused?.();
          reject(error);
        };
        waiting.set(refuse, performance.now());
        if (timer === undefined) schedule(BEAT);
        work()
          .then((value) => {
            if (isAnswer) answers++;
            resolve(value);
          }, reject)
          .finally(() => waiting.delete(refuse));
      });
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

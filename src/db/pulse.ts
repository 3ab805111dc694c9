/** How often it is looked whether a database answers, in milliseconds, while somebody waits for it or it is down. */
const BEAT = 500;
/** Looks in a row that have to fail: one alone may be this process's own fault, when it is busy. */
const FAILURES = 2;
/** How long a look may take, in milliseconds: of a database that somebody waits for, and of one that is down. */
const [LIMIT, LIMIT_DOWN] = [1000, 2500];

/** Ends waits for a database that does not answer, and refuses at once as long as it is known to be down. */
export interface Pulse {
  /**
   * Runs `work`, unless the database is down.
   * @param refused called when `work` is not waited for any longer, or was not begun
   * @throws what `unavailable` makes, also while `work` still runs
   * @example await pulse.guard(() => pool.execute("SELECT 1"))
   */
  guard<T>(work: () => Promise<T>, refused?: () => void): Promise<T>;
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

  const beat = async () => {
    const [oldest] = waiting.values();
    if (down === undefined && oldest === undefined) {
      timer = undefined;
      failures = 0;
      return;
    }
    if (down !== undefined || performance.now() - (oldest ?? 0) >= BEAT) {
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
    }
    if (closed) return;
    timer = setTimeout(beat, BEAT);
    timer.unref();
  };

  return {
    guard(work, refused) {
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
        if (timer === undefined && !closed) {
          timer = setTimeout(beat, BEAT);
          timer.unref();
        }
        work()
          .then((value) => {
            answers++;
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

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

/**
 * How long whoever asks for something small waits for its answer, in milliseconds, when the database answers others. It
 * is looked at once in a beat, so the refusal comes within three seconds.
 */
export const SMALL_LIMIT = 2500;

/** What is to know of something that is asked of a database. */
export interface Asked {
  /** Called when it is not waited for any longer, or was not begun. */
  refused?: () => void;
  /** Whether it writes, or is of a transaction: then it is refused where reads are answered and writes are not. */
  writes?: boolean;
  /**
   * What its answer shows. Nothing, where it may succeed without a word of the database, such as a connection of the
   * pool. Only what is lasting when it is answered shows that writes go.
   */
  shows?: "nothing" | "life" | "writes";
  /** How long it is waited for at most, in milliseconds; forever when left out. */
  limit?: number;
}

/** Ends waits for a database that does not answer, and refuses at once as long as it is known to be down. */
export interface Pulse {
  /**
   * Runs `work`, unless the database is down.
   * @throws what `unavailable` makes, also while `work` still runs
   * @example await pulse.guard(() => pool.execute("SELECT 1"))
   */
  guard<T>(work: () => Promise<T>, asked?: Asked): Promise<T>;
  /** Whether it is known that the database answers nobody. */
  isDown(): boolean;
  /** Whether it is known that the database answers reads and takes no writes. */
  isReadOnly(): boolean;
  /** For before work that is in vain without a write. @throws what whoever writes gets now */
  expectWrites(): void;
  close(): void;
}

/** Asks the database for a sign of life, for as many milliseconds as it is given. */
export type Look = (limit: number) => Promise<unknown>;

/** What is known of one way of asking. */
interface Sign {
  look: Look;
  /** What whoever asks so gets, while it is known that nobody is answered. */
  refusal?: Error;
  failures: number;
  /** How many were answered. */
  answers: number;
}

interface Wait {
  since: number;
  asked: Asked;
}

/**
 * Nobody is looked after while every answer comes within half a second, so a database in good order is asked nothing.
 * One that is only slow still answers somebody: then nobody is refused but who waits beyond a limit of their own.
 * @param look a read, over a connection of its own
 * @param write what looks whether writes go, in the same way; at the same time, when a write waits
 * @param unavailable makes the error that whoever asks gets
 */
export function createPulse(
  { look, write }: { look: Look; write: Look },
  unavailable: (cause: unknown) => Error,
): Pulse {
  /** Who waits, the oldest first. */
  const waiting = new Map<(error: Error) => void, Wait>();
  const life: Sign = { look, failures: 0, answers: 0 };
  const writes: Sign = { look: write, failures: 0, answers: 0 };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const schedule = (milliseconds: number) => {
    if (closed) return;
    timer = setTimeout(beat, milliseconds);
    timer.unref();
  };
  const refuse = (chosen: (wait: Wait) => boolean, error: Error) => {
    for (const [tell, wait] of waiting) {
      if (!chosen(wait)) continue;
      waiting.delete(tell);
      tell(error);
    }
  };
  /** Looks in one way. @returns takes what it found for true; `whom` is refused when nobody is answered */
  const lookFor = async (sign: Sign, whom: (wait: Wait) => boolean): Promise<() => void> => {
    const before = sign.answers;
    try {
      await sign.look(sign.refusal === undefined ? LIMIT : LIMIT_DOWN);
      return () => {
        sign.failures = 0;
        sign.refusal = undefined;
      };
    } catch (error) {
      return () => {
        sign.failures = sign.answers > before ? 0 : sign.failures + 1;
        if (sign.failures < FAILURES) return;
        sign.refusal = unavailable(error);
        refuse(whom, sign.refusal);
      };
    }
  };
  const beat = async () => {
    const isKnown = life.refusal !== undefined || writes.refusal !== undefined;
    const [oldest] = waiting.values();
    if (!isKnown && oldest === undefined) {
      timer = undefined;
      life.failures = 0;
      writes.failures = 0;
      return;
    }
    const young = (oldest?.since ?? 0) + BEAT - performance.now();
    if (!isKnown && young > 0) return schedule(young);
    const now = performance.now();
    const writesWait = waiting.values().some(({ since, asked }) => asked.writes && now - since >= BEAT);
    const [judgeLife, judgeWrites] = await Promise.all([
      lookFor(life, () => true),
      writesWait || writes.refusal !== undefined
        ? lookFor(writes, ({ asked }) => asked.writes === true)
        : undefined,
    ]);
    judgeLife();
    judgeWrites?.();
    const late = performance.now();
    refuse(
      ({ since, asked }) => asked.limit !== undefined && late - since > asked.limit,
      unavailable(new Error("no answer in time")),
    );
    const isDoubtful = (sign: Sign) => sign.failures > 0 && sign.refusal === undefined;
    schedule(isDoubtful(life) || isDoubtful(writes) ? AGAIN : BEAT);
  };

  const refusalOf = (writing: boolean | undefined) => life.refusal ?? (writing ? writes.refusal : undefined);

  return {
    guard(work, asked = {}) {
      const refusal = refusalOf(asked.writes);
      if (refusal !== undefined) {
        asked.refused?.();
        return Promise.reject(refusal);
      }
      return new Promise((resolve, reject) => {
        const refused = (error: Error) => {
          asked.refused?.();
          reject(error);
        };
        waiting.set(refused, { since: performance.now(), asked });
        if (timer === undefined) schedule(BEAT);
        work()
          .then((value) => {
            const { shows = "life" } = asked;
            if (shows !== "nothing") life.answers++;
            if (shows === "writes") writes.answers++;
            resolve(value);
          }, reject)
          .finally(() => waiting.delete(refused));
      });
    },
    isDown: () => life.refusal !== undefined,
    isReadOnly: () => writes.refusal !== undefined,
    expectWrites() {
      const refusal = refusalOf(true);
      if (refusal !== undefined) throw refusal;
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** What tabs of one origin tell each other. */
export type Message<Session> =
  | { kind: "session"; session: Session; began: boolean }
  | { kind: "ended"; reason: string }
  | { kind: "ask" };

export interface Tabs<Session> {
  /** Runs one at a time over all tabs, or in this one where the browser has no locks. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  tell(message: Message<Session>): void;
  /** Asks the others for their session; ends once `arrived` says so, or when nobody answers. */
  ask(arrived: () => boolean): Promise<void>;
}

/**
 * How long other tabs have to answer, in milliseconds: one that sleeps does not, and then a refresh is made. Longer
 * after a wait for the lock, because then there is a tab that has just made one.
 */
const PATIENCE = 60;
const LONGER = 1000;

/**
 * Locks and a channel between the tabs that use one API.
 * @param name the same in each of them
 * @param heard gets what others tell
 */
export function openTabs<Session>(name: string, heard: (message: Message<Session>) => void): Tabs<Session> {
  const page = typeof document !== "undefined";
  const locks = page ? globalThis.navigator?.locks : undefined;
  const channel = page && typeof BroadcastChannel !== "undefined" ? new BroadcastChannel(name) : undefined;
  let last: Promise<unknown> = Promise.resolve();
  let told: () => void = () => undefined;
  let patience = PATIENCE;
  channel?.addEventListener("message", ({ data }) => {
    heard(data);
    told();
  });
  return {
    async alone<T>(work: () => Promise<T>): Promise<T> {
      if (locks) {
        const busy = {};
        const done = await locks.request(name, { ifAvailable: true }, (lock) => {
          patience = PATIENCE;
          return lock ? work() : busy;
        });
        if (done !== busy) return done as T;
        return (await locks.request(name, () => {
          patience = LONGER;
          return work();
        })) as T;
      }
      const turn = last.then(work, work);
      last = turn.catch(() => undefined);
      return turn;
    },
    tell: (message) => channel?.postMessage(message),
    ask: (arrived) =>
      channel === undefined
        ? Promise.resolve()
        : new Promise((resolve) => {
            const over = setTimeout(resolve, patience);
            told = () => {
              if (!arrived()) return;
              clearTimeout(over);
              resolve();
            };
            channel.postMessage({ kind: "ask" });
          }),
  };
}

/** What tabs of one origin tell each other. */
export type Message<Session> =
  | { kind: "session"; session: Session; began: boolean }
  | { kind: "ended"; reason: string }
  | { kind: "ask" };

export interface Tabs<Session> {
  /** Runs one at a time over all tabs, or in this one where the browser has no locks. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  tell(message: Message<Session>): void;
  /** Shows the others until when this tab has a session, in milliseconds; 0 for none. @returns once they can see it */
  show(until: number): Promise<unknown>;
  /**
   * Asks the others for their session; ends once `arrived` says so, or when nobody answers.
   * @param after only one that lasts longer than this is of use
   */
  ask(arrived: () => boolean, after: number): Promise<void>;
}

/**
 * How long other tabs have to answer, in milliseconds, when none of them shows a session: then there is most likely
 * none, or its tab sleeps, and a refresh is made. One that shows a session answers, however busy the machine is.
 */
const PATIENCE = 60;
const LONGER = 15_000;
/**
 * How long a session is shown, in milliseconds, while its tab is: until all have heard of it. Not for good, because
 * browsers let no page sleep, nor keep one for the way back, while it holds a lock.
 */
const SHOWN = 120_000;

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
  let shown = 0;
  let hide: () => void = () => undefined;
  channel?.addEventListener("message", ({ data }) => {
    heard(data);
    told();
  });
  if (page) document.addEventListener("visibilitychange", () => document.hidden && hide());
  return {
    alone<T>(work: () => Promise<T>): Promise<T> {
      if (locks) return locks.request(name, work) as Promise<T>;
      const turn = last.then(work, work);
      last = turn.catch(() => undefined);
      return turn;
    },
    tell: (message) => channel?.postMessage(message),
    // A lock that nobody waits for, with the time in its name: it is gone with its tab, whatever that dies of.
    show: (until) =>
      new Promise<unknown>((seen) => {
        if (until === shown || !locks) return seen(0);
        shown = until;
        hide();
        if (until === 0) return seen(0);
        const held = async () => {
          seen(0);
          // It may be another one, or none, by now.
          if (until === shown)
            await new Promise<void>((done) => {
              hide = done;
              setTimeout(done, SHOWN);
            });
        };
        locks.request(`${name} ${until}`, { mode: "shared" }, held).catch(seen);
      }),
    async ask(arrived, after) {
      if (!channel) return;
      const { held = [] } = (await locks?.query()) ?? {};
      const isLater = (lock: LockInfo) => Number(lock.name?.split(`${name} `)[1]) > after;
      await new Promise<void>((resolve) => {
        const over = setTimeout(resolve, held.some(isLater) ? LONGER : PATIENCE);
        told = () => {
          if (!arrived()) return;
          clearTimeout(over);
          resolve();
        };
        told();
        channel.postMessage({ kind: "ask" });
      });
    },
  };
}

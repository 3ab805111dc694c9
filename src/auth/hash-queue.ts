import { sourceOf } from "../http/address";
import { AppError } from "../lib/errors";

/** Who has work done: work of one source waits behind itself and not before others'. */
export interface Requester {
  /** A network, a device, or the server itself. */
  source: string;
  /** Known devices go before strangers. */
  known: boolean;
}

/** Work of the server's own, such as a command. */
export const OWN_WORK: Requester = { source: "server", known: true };

/** Who sent a request: the known device that it comes from, or else its address. */
export const requesterOf = (ip: string, deviceId: string | null | undefined): Requester =>
  deviceId ? { source: deviceId, known: true } : { source: sourceOf(ip), known: false };

interface Waiter {
  start(): void;
  refuse(): void;
}

/** How many turns in a row known devices get while strangers wait. */
const KNOWN_TURNS = 3;

/**
 * A queue with fair shares: sources take turns, known devices before strangers, and each fourth turn is a stranger's,
 * so that nobody waits for ever. When it is full, whoever comes takes the place of the last of the source that has
 * most waiting; a source that has most itself is refused.
 * @param concurrency how much runs at once
 * @param capacity how much may wait
 */
export function createFairQueue(concurrency: number, capacity: number) {
  /** Of each kind the sources in the order of their turns, with who waits. Map keeps the order of insertion. */
  const lanes = { known: new Map<string, Waiter[]>(), unknown: new Map<string, Waiter[]>() };
  let running = 0;
  let waiting = 0;
  let knownTurns = 0;

  const laneOf = ({ known }: Requester) => (known ? lanes.known : lanes.unknown);

  function next(): Waiter | undefined {
    const stranger = lanes.unknown.size > 0 && (lanes.known.size === 0 || knownTurns >= KNOWN_TURNS);
    knownTurns = stranger ? 0 : knownTurns + 1;
    const lane = stranger ? lanes.unknown : lanes.known;
    const [first] = lane;
    if (!first) return undefined;
    const [source, waiters] = first;
    const waiter = waiters.shift();
    lane.delete(source);
    if (waiters.length > 0) lane.set(source, waiters);
    waiting--;
    return waiter;
  }

  /** Makes room for one more of a source that has `own` waiting. @returns whether there is room */
  function makeRoom({ known }: Requester, own: number): boolean {
    if (waiting < capacity) return true;
    const longest = (lane: Map<string, Waiter[]>) =>
      [...lane].reduce<[string, Waiter[]] | undefined>(
        (most, entry) => (entry[1].length > (most?.[1].length ?? 0) ? entry : most),
        undefined,
      );
    const stranger = longest(lanes.unknown);
    const [lane, found] =
      stranger && (known || stranger[1].length > own + 1)
        ? [lanes.unknown, stranger]
        : [lanes.known, known ? longest(lanes.known) : undefined];
    if (!found || (lane === lanes.known && found[1].length <= own + 1)) return false;
    const [source, waiters] = found;
    waiters.pop()?.refuse();
    if (waiters.length === 0) lane.delete(source);
    waiting--;
    return true;
  }

  const refusal = () =>
    new AppError("service_unavailable", "Too many sign-ins at once. Try again.", { retryAfter: 2 });

  /** Does a piece of work when its turn comes. @throws AppError service_unavailable when there is no room */
  async function inTurn<T>(by: Requester, work: () => Promise<T>): Promise<T> {
    if (running >= concurrency) {
      const lane = laneOf(by);
      if (!makeRoom(by, lane.get(by.source)?.length ?? 0)) throw refusal();
      await new Promise<void>((start, reject) => {
        const waiter = { start, refuse: () => reject(refusal()) };
        const waiters = lane.get(by.source);
        if (waiters) waiters.push(waiter);
        else lane.set(by.source, [waiter]);
        waiting++;
      });
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      const waiter = next();
      if (waiter) waiter.start();
      else running--;
    }
  }
  return { inTurn, load: () => ({ running, waiting }) };
}

import { SECOND } from "./clock";

/** How long it stays open before somebody may try again, in milliseconds: doubled with each failure, up to the second. */
const [FIRST_PAUSE, LONGEST_PAUSE] = [SECOND, 30 * SECOND];

/**
 * What is known of a service outside the databases, such as a mail server: closed while it serves, open for a pause after
 * it was found away, then half open until one call has told how it is (https://martinfowler.com/bliki/CircuitBreaker.html).
 */
export interface CircuitBreaker {
  state(): "closed" | "open" | "half-open";
  /** The service answered. */
  succeeded(): void;
  /** The service was away for a call that began at this time of `performance.now`. */
  failed(began: number): void;
}

/**
 * @param changed is told when it opens, and when it closes again
 * @param now a time that only goes on, in milliseconds
 */
export function createCircuitBreaker(
  changed: (isOpen: boolean) => void = () => undefined,
  now: () => number = () => performance.now(),
): CircuitBreaker {
  let open: { since: number; pause: number } | undefined;
  return {
    state: () => (open === undefined ? "closed" : now() < open.since + open.pause ? "open" : "half-open"),
    succeeded() {
      if (open === undefined) return;
      open = undefined;
      changed(false);
    },
    failed(began) {
      // Calls that were under way when it opened say nothing new.
      if (open !== undefined && began < open.since) return;
      const pause = open === undefined ? FIRST_PAUSE : Math.min(LONGEST_PAUSE, 2 * open.pause);
      if (open === undefined) changed(true);
      open = { since: now(), pause };
    },
  };
}

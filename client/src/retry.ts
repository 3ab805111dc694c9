import type { ApiError } from "./errors.js";

/** Statuses that say "not now", and what a connection that broke has instead of one. */
const PASSING = [0, 408, 429, 502, 503, 504];
/** The first pause, in milliseconds; each further one is twice as long. */
const PAUSE = 300;
/** Longest wait that an answer may ask for, in seconds: whoever looks at a page does not wait longer. */
const LONGEST = 10;

/** Ends after some milliseconds. @throws the reason of the signal, once it is aborted */
export const wait = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(over);
      reject(signal?.reason);
    };
    const over = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });

/**
 * How long to wait before a call that may be repeated is sent once more.
 * @param tries how often it was sent
 * @returns milliseconds, or undefined when sending it again is of no use
 */
export function pauseAfter(error: ApiError, tries: number): number | undefined {
  const passing =
    (PASSING.includes(error.status) && error.code !== "timeout") || error.code === "idempotency_in_flight";
  if (!passing || (error.retryAfter ?? 0) > LONGEST) return undefined;
  if (error.retryAfter !== undefined) return error.retryAfter * 1000;
  return PAUSE * 2 ** (tries - 1) * (0.5 + Math.random());
}

import { v7 } from "uuid";
import type { Clock } from "./clock";

/** Where chance comes from; tests make it repeatable. */
export interface Random {
  bytes(length: number): Uint8Array<ArrayBuffer>;
  /** A uuid v7 (RFC 9562): sorts by the time it was made, also within one millisecond of one process. */
  id(): string;
}

/**
 * A waiting time drawn between two, so that those who begin to wait at once do not come back at once. No secret and no
 * rule depends on it.
 * @example setTimeout(retry, jitter(0, 200))
 */
export const jitter = (least: number, most: number): number => least + Math.random() * (most - least);

/** Cryptographic randomness with the time of `clock` in its ids. */
export const createRandom = (clock: Clock): Random => {
  const bytes = (length: number) => crypto.getRandomValues(new Uint8Array(length));
  let lastMs = 0;
  let sequence = 0;
  return {
    bytes,
    id: () => {
      const now = clock.now().getTime();
      // RFC 9562 §6.2: a counter keeps ids of one millisecond (or of a clock set back) in order.
      if (now > lastMs) {
        lastMs = now;
        sequence = new DataView(bytes(4).buffer).getUint32(0) & 0x7fffffff;
      } else if (sequence === 0xffffffff) {
        lastMs += 1;
        sequence = 0;
      } else {
        sequence += 1;
      }
      return v7({ msecs: lastMs, seq: sequence, random: bytes(16) });
    },
  };
};

import { availableParallelism } from "node:os";
import argon2 from "argon2";
import { createFairQueue, OWN_WORK, type Requester } from "./hash-queue";

/**
 * How many hashes run at once: one core stays with the event loop, or plain routes wait for hashes (on two cores
 * their 99th percentile is 5.5 ms with one hash at a time and 14 ms with two). More than four threads there are not.
 */
const CONCURRENCY = Math.max(1, Math.min(4, availableParallelism() - 1));
/** How many may wait; past it a caller is told to come back. */
const QUEUE = 64;

/** Hashing of passwords off the event loop, a few at a time, in fair turns. */
export interface Passwords {
  /** The PHC form of a password's hash. @throws AppError service_unavailable when too many wait */
  hash(password: string, by?: Requester): Promise<string>;
  /** True when the password is the one. False, after the same work, when there is no hash. */
  verify(hash: string | null, password: string, by?: Requester): Promise<boolean>;
  /** True when the hash was made with weaker parameters than today's. */
  needsRehash(hash: string): boolean;
  /** How many hashes are being made, and how many wait. */
  load(): Record<"running" | "waiting", number>;
}

/** Unicode forms of one password are one password (RFC 8265 uses NFC; NFKC also folds width). */
const normalise = (password: string): string => password.normalize("NFKC");

/**
 * Argon2id with two passes and one lane, after OWASP.
 * @param memory of one hash, in KiB
 */
export function createPasswords(memory: number, concurrency = CONCURRENCY, queue = QUEUE): Passwords {
  const parameters = { type: argon2.argon2id, memoryCost: memory, timeCost: 2, parallelism: 1 } as const;
  const { inTurn, load } = createFairQueue(concurrency, queue);

  // An unknown address must cost what a known one costs: this is checked in its place. Made at the start, so
  // that not even the first try takes longer.
  const decoy = argon2.hash("no such account", parameters);

  return {
    hash: (password, by = OWN_WORK) => inTurn(by, () => argon2.hash(normalise(password), parameters)),
    async verify(hash, password, by = OWN_WORK) {
      const against = hash ?? (await decoy);
      const right = await inTurn(by, () => argon2.verify(against, normalise(password)));
      return hash !== null && right;
    },
    needsRehash: (hash) => argon2.needsRehash(hash, parameters),
    load,
  };
}

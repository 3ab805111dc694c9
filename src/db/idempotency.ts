import type { JsonValue } from "../lib/json";

/** A request that must happen once. */
export interface IdempotentRequest {
  /** Whose key it is: keys of different callers never meet. */
  callerId: string;
  key: string;
  /** SHA-256 of method, path and body. */
  hash: Uint8Array<ArrayBuffer>;
  now: Date;
  /** Made by the caller; marks this attempt. */
  leaseToken: string;
}

/** What the first request got. */
export interface RecordedAnswer {
  status: number;
  body: JsonValue;
}

export type Claim =
  /** Go on; you have until the lease ends. */
  | { state: "claimed" }
  /** It was done: give this answer again. */
  | { state: "done"; answer: RecordedAnswer }
  | { state: "in_flight" }
  /** The key was used for something else. */
  | { state: "other_request" };

/** Where the first answers are kept: in the database of the change, so both are recorded or neither. */
export interface IdempotencyStore<Tx> {
  claim(request: IdempotentRequest): Promise<Claim>;
  /**
   * Records the answer in the transaction of the change.
   * @throws AppError conflict when the lease ended and another request took the key over
   */
  complete(request: IdempotentRequest, answer: RecordedAnswer, tx?: Tx): Promise<void>;
  /** Frees the key after a failure that may be tried again. */
  release(request: IdempotentRequest): Promise<void>;
  /** Forgets every key of a caller who is gone, with the answers. */
  forget(callerId: string): Promise<void>;
}

/** How long one attempt holds its key, in milliseconds; longer than any request may take. */
export const LEASE_MS = 60_000;
/** How long an answer is kept, in milliseconds. */
export const KEEP_MS = 24 * 3600 * 1000;

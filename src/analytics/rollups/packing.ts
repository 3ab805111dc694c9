import { createHash } from "node:crypto";

/**
 * A visitor as a number of 53 bits, for sets that are counted. Two of a million visitors share one with a
 * probability of 1 in 18,000.
 */
export function visitorNumber(visitor: string): number {
  const hash = createHash("sha256").update(visitor).digest();
  return hash.readUInt32BE(0) * 2 ** 21 + (hash.readUInt32BE(4) >>> 11);
}

/** Numbers as bytes, eight each. */
export const pack = (numbers: Iterable<number>): Buffer => Buffer.from(Float64Array.from(numbers).buffer);

/** Adds packed numbers to a set. */
export function unpackInto(set: Set<number>, bytes: Uint8Array | null | undefined): void {
  if (!bytes || bytes.byteLength === 0) return;
  // A buffer of a larger one need not lie at a multiple of eight.
  for (const number of new Float64Array(new Uint8Array(bytes).buffer)) set.add(number);
}

/**
 * An index over a set of products, in a form that is small to store and quick to read: for each term the products that
 * have it, numbered from 0 in the order of the set, with impacts and places.
 */
import { IMPACT_STEPS, type TermEntry } from "./analyse";

/** The impact of a term that a product is named after. */
const NAMED = 5 * IMPACT_STEPS;

/** Writes whole numbers, small ones in one byte (LEB128). */
export class Writer {
  #bytes = new Uint8Array(16);
  length = 0;

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + more));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  number(value: number): void {
    this.#room(5);
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.length++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#bytes[this.length++] = rest;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#room(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

/** Reads what `Writer` wrote. */
export class Reader {
  constructor(
    readonly data: Uint8Array,
    public at = 0,
  ) {}

  number(): number {
    const { data } = this;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[this.at++] as number;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
}

/** Gathers what products of one segment have of one term. */
export class PostingWriter {
  readonly #ordinals = new Writer();
  readonly #impacts = new Writer();
  readonly #places = new Writer();
  #count = 0;
  #last = 0;

  /** @param ordinal greater than that of the call before */
  add(ordinal: number, { impact, places }: Pick<TermEntry, "impact" | "places">): void {
    this.#ordinals.number(ordinal - this.#last);
    this.#last = ordinal;
    this.#impacts.byte(impact);
    this.#places.number(places.length);
    let last = 0;
    for (const place of places) {
      this.#places.number(place - last);
      last = place;
    }
    this.#count++;
  }

  /** Count, ordinals as differences, impacts, places. */
  done(): Uint8Array {
    const all = new Writer();
    all.number(this.#count);
    for (const part of [this.#ordinals, this.#impacts, this.#places]) all.bytes(part.done());
    return all.done();
  }
}

/** Most places of a term in one product that are looked at; the analysis keeps fewer. */
export const PLACES = 32;

/** The products of a segment that have a term. */
export interface Postings {
  /** A segment has fewer than 65,536 products. */
  ordinals: Uint16Array;
  impacts: Uint8Array;
  /** How many products are named after it, those that only mention it counted in part. */
  mass: number;
  /** Where the places of each begin in `data`. Read by `placesAt`. */
  starts: Uint32Array;
  data: Uint8Array;
}

/** Reads what `PostingWriter` wrote. */
export function readPostings(data: Uint8Array): Postings {
  const reader = new Reader(data);
  const count = reader.number();
  const ordinals = new Uint16Array(count);
  let ordinal = 0;
  for (let index = 0; index < count; index++) {
    ordinal += reader.number();
    ordinals[index] = ordinal;
  }
  const impacts = data.subarray(reader.at, reader.at + count);
  reader.at += count;
  const starts = new Uint32Array(count);
  let { at } = reader;
  for (let index = 0; index < count; index++) {
    starts[index] = at;
    reader.at = at;
    let left = reader.number();
    at = reader.at;
    // The last byte of each number is the one below 128.
    for (; left > 0; left--) while ((data[at++] as number) > 127);
  }
  let mass = 0;
  for (let index = 0; index < count; index++) mass += Math.min(1, (impacts[index] as number) / NAMED);
  return { ordinals, impacts, mass, starts, data };
}

/** The places of one product's term, written into `into`. @returns how many there are */
export function readPlaces({ data, starts }: Postings, index: number, into: Uint32Array): number {
  let at = starts[index] as number;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++] as number;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const count = Math.min(number(), into.length);
  let place = 0;
  for (let n = 0; n < count; n++) {
    place += number();
    into[n] = place;
  }
  return count;
}

/** The places of one product's term. */
export function placesAt(postings: Postings, index: number): number[] {
  const places = new Uint32Array(PLACES);
  return [...places.subarray(0, readPlaces(postings, index, places))];
}

/** FNV-1a: which bucket a term is in. */
export function hashOf(term: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < term.length; index++)
    hash = Math.imul(hash ^ term.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/**
 * An index over a set of products, in a form that is small to store and quick to read: for each term the products that
 * have it, numbered from 0 in the order of the set, with impacts and places.
 */
import { IMPACT_STEPS, type TermEntry } from "./analyse";
import { Reader, Writer } from "./leb128";

/** The impact of a term that a product is named after. */
const NAMED = 5 * IMPACT_STEPS;

/** No record follows: the log begins with something else. */
const END = 0;
/** The log is in blocks of so many bytes, since a list that doubles takes three times its bytes while it does so. */
const LOG_BLOCK = 2 ** 20;
/** More bytes than any record has. */
const RECORD = 1024;

/**
 * Gathers what products of one segment have of its terms. All of it lies in one log, a record for each product and term,
 * and each record names the next one of its term: a segment has a hundred thousand terms, most of them in a product or
 * two, and buffers of their own would take ten times the memory of what is in them.
 */
export class PostingsWriter {
  readonly #blocks = [new Writer()];
  /** The place of each term in the lists below. */
  readonly #terms = new Map<string, number>();
  readonly #first: number[] = [];
  readonly #last: number[] = [];
  readonly #counts: number[] = [];
  readonly #parts = [new Writer(), new Writer(), new Writer()] as const;

  constructor() {
    this.#blocks[0]?.byte(END);
  }

  get size(): number {
    return this.#terms.size;
  }

  terms(): IterableIterator<string> {
    return this.#terms.keys();
  }

  /**
   * Begins a record.
   * @param ordinal not smaller than that of the call before, greater than the term's own one before
   * @returns where the rest of it is written
   */
  #begin(term: string, ordinal: number, impact: number): Writer {
    let log = this.#blocks.at(-1) as Writer;
    if (log.length > LOG_BLOCK - RECORD) {
      log = new Writer();
      this.#blocks.push(log);
    }
    const at = (this.#blocks.length - 1) * LOG_BLOCK + log.length;
    const index = this.#terms.get(term) ?? this.#terms.size;
    if (index === this.#terms.size) {
      this.#terms.set(term, index);
      this.#first.push(at);
      this.#counts.push(0);
    } else {
      const last = this.#last[index] as number;
      this.#blocks[Math.floor(last / LOG_BLOCK)]?.word(at, last % LOG_BLOCK);
    }
    this.#last[index] = at;
    (this.#counts[index] as number)++;
    log.word(END);
    log.number(ordinal);
    log.byte(impact);
    return log;
  }

  add(ordinal: number, { term, impact, places }: TermEntry): void {
    this.#begin(term, ordinal, impact).ascending(places);
  }

  /** Adds all terms of a product as its search document packs them, without unpacking: there are a million of them. */
  addPacked(ordinal: number, { terms, packed }: { terms: string[]; packed: Uint8Array }): void {
    const reader = new Reader(packed);
    for (const term of terms) {
      // The flags of the word, which a segment does not keep.
      reader.skip(1);
      const log = this.#begin(term, ordinal, reader.number());
      const from = reader.at;
      reader.skip(reader.number());
      log.bytes(packed.subarray(from, reader.at));
    }
  }

  /** What there is of a term, for `Postings`: count, ordinals as differences, impacts, places. */
  of(term: string): Uint8Array {
    const index = this.#terms.get(term) ?? -1;
    const parts = this.#parts;
    for (const part of parts) part.clear();
    const [ordinals, impacts, places] = parts;
    let before = 0;
    for (let at = this.#first[index] ?? END; at !== END; ) {
      const data = this.#blocks[Math.floor(at / LOG_BLOCK)]?.view() as Uint8Array;
      const reader = new Reader(data, at % LOG_BLOCK);
      at = reader.word();
      const ordinal = reader.number();
      ordinals.number(ordinal - before);
      before = ordinal;
      impacts.byte(data[reader.at++] as number);
      const from = reader.at;
      reader.skip(reader.number());
      places.bytes(data.subarray(from, reader.at));
    }
    const all = new Writer();
    all.number(this.#counts[index] ?? 0);
    for (const part of parts) all.bytes(part.view());
    return all.done();
  }
}

/** Most places of a term in one product that are looked at; the analysis keeps fewer. */
export const PLACES = 32;

/** What an impact says of how many products are named after a term: those that only mention it count in part. */
const MASS = Float64Array.from({ length: 256 }, (_, impact) => Math.min(1, impact / NAMED));

/** The products of a segment that have a term, read from what `PostingsWriter` gives. */
export class Postings {
  /** A segment has fewer than 65,536 products. */
  readonly ordinals: Uint16Array;
  readonly #data: Uint8Array;
  /** Where the impacts begin in `data`. A view of them would take longer to make than most lists take to read. */
  readonly #impacts: number;
  /** Where the places of each begin in `data`, once one is asked for. */
  #starts: Uint32Array | undefined;
  #mass: number | undefined;

  constructor(data: Uint8Array) {
    const reader = new Reader(data);
    const count = reader.number();
    const ordinals = new Uint16Array(count);
    let at = reader.at;
    let ordinal = 0;
    for (let index = 0; index < count; index++) {
      let byte = data[at++] as number;
      let step = byte & 127;
      for (let shift = 7; byte > 127; shift += 7) {
        byte = data[at++] as number;
        step |= (byte & 127) << shift;
      }
      ordinal += step;
      ordinals[index] = ordinal;
    }
    this.ordinals = ordinals;
    this.#impacts = at;
    this.#data = data;
  }

  impactAt(index: number): number {
    return this.#data[this.#impacts + index] as number;
  }

  /** How many products are named after it, those that only mention it counted in part. */
  get mass(): number {
    if (this.#mass !== undefined) return this.#mass;
    let mass = 0;
    for (let index = 0; index < this.ordinals.length; index++) mass += MASS[this.impactAt(index)] as number;
    this.#mass = mass;
    return mass;
  }

  /** Where the places of each product begin. */
  get #places(): Uint32Array {
    if (this.#starts) return this.#starts;
    const starts = new Uint32Array(this.ordinals.length);
    const data = this.#data;
    let at = this.#impacts + starts.length;
    for (let index = 0; index < starts.length; index++) {
      starts[index] = at;
      // There are fewer places than 128; the last byte of each is the one below that.
      for (let left = data[at++] as number; left > 0; left--) while ((data[at++] as number) > 127);
    }
    this.#starts = starts;
    return starts;
  }

  /** The places of one product's term, written into `into`. @returns how many there are */
  readPlaces(index: number, into: Uint32Array): number {
    const data = this.#data;
    let at = this.#places[index] as number;
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
}

const scratch = new Uint32Array(PLACES);

/** The places of one product's term. */
export function placesAt(postings: Postings, index: number): number[] {
  const count = postings.readPlaces(index, scratch);
  const places: number[] = [];
  for (let n = 0; n < count; n++) places.push(scratch[n] as number);
  return places;
}

/** FNV-1a: which bucket a term is in. */
export function hashOf(term: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < term.length; index++)
    hash = Math.imul(hash ^ term.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

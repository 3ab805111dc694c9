/** Which products of a segment have what a plan looks for. */
import { IMPACT_STEPS } from "./analyse";
import type { Plan } from "./plan";
import { PLACES, type Postings, placesAt } from "./segment";
import type { Slot } from "./slots";

/** What of a segment a score is made from. */
export interface SegmentView {
  count: number;
  /** The products that have a term; undefined when none has. */
  postings(term: string): Postings | undefined;
  /** For ranking products that fit alike. */
  popularity: ArrayLike<number>;
  /** Place in `kinds` of each product. */
  kind: ArrayLike<number>;
  kinds: Kind[];
}

/** Products whose names say they are the same thing, in the same category. */
export interface Kind {
  /** Stem of the thing that the names say it is; empty when they say none. */
  head: string;
  /** Stems of the things that the names of its categories say it is. */
  categories: string[];
  /** 0 to 1: how many of the products of this kind are made for other things, by their names. */
  accessory: number;
}

/** Impact at which a term has half of its effect (the k1 of BM25). */
const HALF = 3 * IMPACT_STEPS;
/** How many words may lie between a number and the word that it belongs to ("iPhone 6s Plus and 7"). */
const REACH = 6;

/** What an impact is worth: 0 to 1. */
export const saturate = (steps: number): number => steps / (steps + HALF);

/** How strictly a plan is applied: each step is tried when the one before it finds nothing. */
export const STRICTNESS = ["exact", "spare", "most"] as const;
export type Strictness = (typeof STRICTNESS)[number];

/** Places of a term in one product, in a buffer that is used again. */
export interface Places {
  list: Uint32Array;
  count: number;
}
export const newPlaces = (): Places => ({ list: new Uint32Array(PLACES), count: 0 });

/** The best that each product of a segment has for one slot. */
export interface Match {
  /** 0 for products that have nothing for it. */
  value: Float32Array;
  /** Which of `lists`, plus one, and where in it: for places. */
  source: Uint8Array;
  index: Uint16Array;
  lists: Postings[];
  /** The products that have something, the first `found` of these. */
  ordinals: Uint16Array;
  found: number;
}

/** Used again for every segment, since a search of one is done before the next begins. */
const matches: Match[] = [];

/** A match with room for a segment, in which nothing is found. */
function emptyMatch(slot: number, count: number): Match {
  const known = matches[slot];
  if (known && known.value.length >= count) {
    for (let n = 0; n < known.found; n++) known.value[known.ordinals[n] as number] = 0;
    known.found = 0;
    known.lists = [];
    return known;
  }
  const made: Match = {
    value: new Float32Array(count),
    source: new Uint8Array(count),
    index: new Uint16Array(count),
    lists: [],
    ordinals: new Uint16Array(count),
    found: 0,
  };
  matches[slot] = made;
  return made;
}

/** Impacts of postings by ordinal. */
function spread(postings: Postings, count: number): Uint8Array {
  const { ordinals } = postings;
  const all = new Uint8Array(count);
  for (let n = 0; n < ordinals.length; n++) all[ordinals[n] as number] = postings.impactAt(n);
  return all;
}

/** What the products of a segment have for the slot of this number. Good until the next segment's is asked for. */
export function matchSlot(
  segment: SegmentView,
  number: number,
  { alternatives }: Slot,
  strictness: Strictness,
): Match {
  const match = emptyMatch(number, segment.count);
  const { value, source, index, ordinals: all } = match;
  let { found } = match;
  for (const { terms, weight, spare } of alternatives) {
    if (spare && strictness === "exact") continue;
    const lists = terms.map((term) => segment.postings(term));
    if (lists.some((list) => list === undefined)) continue;
    const [first, ...others] = lists as [Postings, ...Postings[]];
    const place = Math.min(255, match.lists.push(first));
    // Of several terms that are all needed, the weakest decides.
    const rest = others.map((list) => spread(list, segment.count));
    const { ordinals } = first;
    for (let n = 0; n < ordinals.length; n++) {
      const ordinal = ordinals[n] as number;
      let impact = first.impactAt(n);
      for (let other = 0; other < rest.length; other++)
        impact = Math.min(impact, (rest[other] as Uint8Array)[ordinal] as number);
      const worth = weight * saturate(impact);
      const before = value[ordinal] as number;
      if (worth <= before) continue;
      if (before === 0) all[found++] = ordinal;
      value[ordinal] = worth;
      source[ordinal] = place;
      index[ordinal] = n;
    }
  }
  match.found = found;
  return match;
}

/** Where a product has what it has for a slot. */
export function readPlacesOf({ lists, value, source, index }: Match, ordinal: number, into: Places): void {
  const list = (value[ordinal] as number) > 0 ? lists[(source[ordinal] as number) - 1] : undefined;
  into.count = list ? list.readPlaces(index[ordinal] as number, into.list) : 0;
}

/** 1 when two stand side by side in their order or are one, 0.5 with one word between them, else 0. */
export function nearness(left: Places, right: Places): number {
  let best = 0;
  for (let n = 0; n < left.count; n++) {
    const place = left.list[n] as number;
    for (let m = 0; m < right.count; m++) {
      const gap = (right.list[m] as number) - place;
      if (gap === 1 || gap === 0) return 1;
      if (gap === 2) best = 0.5;
    }
  }
  return best;
}

/** Whether two stand near each other. */
export function inReach(left: Places, right: Places): boolean {
  for (let n = 0; n < left.count; n++)
    for (let m = 0; m < right.count; m++)
      if (Math.abs((right.list[m] as number) - (left.list[n] as number)) <= REACH) return true;
  return false;
}

/** Calls back for each product that has all of these terms, with their postings and where in them. */
function together(
  segment: SegmentView,
  terms: string[],
  found: (ordinal: number, at: [Postings, number][]) => void,
) {
  const lists = terms.map((term) => segment.postings(term));
  if (lists.length === 0 || lists.some((list) => list === undefined)) return;
  const [first, ...others] = lists as [Postings, ...Postings[]];
  const at = others.map(() => 0);
  for (let n = 0; n < first.ordinals.length; n++) {
    const ordinal = first.ordinals[n] as number;
    let all = true;
    for (let index = 0; index < others.length; index++) {
      const { ordinals } = others[index] as Postings;
      let place = at[index] as number;
      while (place < ordinals.length && (ordinals[place] as number) < ordinal) place++;
      at[index] = place;
      if (ordinals[place] !== ordinal) all = false;
    }
    if (all)
      found(ordinal, [
        [first, n],
        ...others.map((list, index): [Postings, number] => [list, at[index] as number]),
      ]);
  }
}

/** Marks the products in which terms stand side by side in their order. */
export function markPhrase(segment: SegmentView, terms: string[]): Uint8Array {
  const marked = new Uint8Array(segment.count);
  if (terms.length === 1) {
    for (const ordinal of segment.postings(terms[0] as string)?.ordinals ?? []) marked[ordinal] = 1;
    return marked;
  }
  together(segment, terms, (ordinal, [first, ...others]) => {
    let places = placesAt(...(first as [Postings, number]));
    for (const other of others) {
      const here = placesAt(...other);
      places = places.map((place) => place + 1).filter((place) => here.includes(place));
    }
    if (places.length > 0) marked[ordinal] = 1;
  });
  return marked;
}

/** Marks those of the wanted products that name only the longer model. */
export function markVariant(
  segment: SegmentView,
  { base, longer }: Plan["variants"][number],
  isWanted: (ordinal: number) => boolean,
  marked: Uint8Array,
): void {
  together(segment, [longer, base], (ordinal, [long, short]) => {
    if (!isWanted(ordinal)) return;
    const taken = placesAt(...(long as [Postings, number]));
    // Descriptions hold no words written as one, and come last.
    const end = (taken.at(-1) as number) + REACH;
    const named = placesAt(...(short as [Postings, number])).filter((place) => place < end);
    if (named.every((place) => taken.includes(place))) marked[ordinal] = 1;
  });
}

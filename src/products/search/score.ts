/** How well products of a segment fit a plan. */
import {
  inReach,
  type Kind,
  type Match,
  markPhrase,
  markVariant,
  matchSlot,
  nearness,
  newPlaces,
  type Places,
  readPlacesOf,
  type SegmentView,
  type Strictness,
  saturate,
} from "./match";
import type { Plan } from "./plan";
import { ALL_DIGITS } from "./slots";
import { stemOf } from "./text";

/** The weight of each slot, from all products that are searched. Kept in a cursor, so that pages agree. */
export type Weights = number[];

/** What two words that stand side by side add, of what they are worth. */
const SIDE_BY_SIDE = 0.35;
/** What an accessory loses beside a thing of its own when the query does not ask for its kind. */
const ACCESSORY = 0.5;
/** What a thing gains that is what the query asks for last, by its name or by its category. */
const ASKED = 0.15;
/** What a product of a brand that the query names gains of what the naming words are worth. */
const OF_BRAND = 0.5;
/** What is left of a number far from the words beside it; where only a description has one of them, nothing is. */
const STRAY = 0.25;
/** Impact above which a term stands elsewhere than in a description. */
const DESCRIBED = saturate(12);
/** What is left of the score of a longer model than the one that is asked for. */
const OTHER_MODEL = 0.75;
/** What is left of a score when one word hardly fits, and how well it must fit for nothing to be lost. */
const WEAKEST = 0.5;
const WELL = 0.3;
/** What each power of ten of popularity adds. */
const POPULARITY = 0.08;

const NONE = new Uint16Array();

/** How many words a product must have: all; at last, of four and more, three quarters. */
const wordsNeeded = (words: number, strictness: Strictness): number =>
  strictness === "most" ? Math.ceil(words * 0.75) : words;

/** Terms whose postings a plan needs. */
export const termsOf = ({ slots, phrases, without, brands, variants }: Plan): string[] => [
  ...new Set([
    ...brands.map(({ term }) => term),
    ...variants.flatMap(({ base, longer }) => [base, longer]),
    ...slots.flatMap(({ alternatives }) => alternatives.flatMap(({ terms }) => terms)),
    ...phrases.flat(),
    ...without.flat(),
  ]),
];

/** The weight of each slot: the rarer among products that are named after it, the more. */
export function weightsOf(plan: Plan, segments: SegmentView[]): Weights {
  const total = segments.reduce((sum, { count }) => sum + count, 0);
  return plan.slots.map(({ alternatives }) => {
    let most = 0;
    for (const { terms } of alternatives) {
      let sum = 0;
      for (const segment of segments) sum += segment.postings(terms[0] as string)?.mass ?? 0;
      most = Math.max(most, sum);
    }
    return 0.2 + Math.log(1 + (total - most + 0.5) / (most + 0.5));
  });
}

/** What a kind makes of a score: more when it is asked for, less when it goes with what is asked for. */
function factorOf({ head, categories, accessory }: Kind, stems: Set<string>[]): number {
  const last = stems.at(-1);
  const asked = (set: Set<string> | undefined) =>
    set !== undefined && (set.has(head) || categories.some((name) => set.has(name)));
  if (last?.has(head)) return 1 + ASKED;
  if (asked(last)) return 1 + ASKED / 2;
  return stems.some(asked) ? 1 : 1 - ACCESSORY * accessory;
}

/** By the popularity of a segment's products, what it makes of their scores. It is the same for every search. */
const boosts = new WeakMap<object, Float32Array>();

function boostsOf({ popularity, count }: SegmentView): Float32Array {
  const known = boosts.get(popularity);
  if (known?.length === count) return known;
  const made = Float32Array.from({ length: count }, (_, ordinal) => {
    const value = (popularity[ordinal] as number) || 0;
    return 1 + POPULARITY * Math.log10(1 + Math.max(0, value));
  });
  boosts.set(popularity, made);
  return made;
}

/** What each product's kind, popularity and model make of the score of its text. */
function factorsOf(
  segment: SegmentView,
  plan: Plan,
  matches: Match[],
  need: number,
): (ordinal: number) => number {
  const stems = plan.slots.map(
    ({ alternatives }) =>
      new Set(alternatives.flatMap(({ terms, spare }) => (spare ? [] : terms.map(stemOf)))),
  );
  /** By number of a kind, once it is asked for. */
  const ofKind = new Float64Array(segment.kinds.length);
  const others = plan.variants.length === 0 ? undefined : new Uint8Array(segment.count);
  const isWanted = (ordinal: number) => fitting(matches, ordinal) >= need;
  for (const variant of plan.variants) markVariant(segment, variant, isWanted, others as Uint8Array);
  const { kind, kinds } = segment;
  const boost = boostsOf(segment);
  return (ordinal) => {
    const number = kind[ordinal] as number;
    if (ofKind[number] === 0) ofKind[number] = factorOf(kinds[number] as Kind, stems);
    return (boost[ordinal] as number) * (ofKind[number] || 1) * (others?.[ordinal] === 1 ? OTHER_MODEL : 1);
  };
}

/** How many slots a product has something for. */
function fitting(matches: Match[], ordinal: number): number {
  let fits = 0;
  for (let slot = 0; slot < matches.length; slot++)
    if (((matches[slot] as Match).value[ordinal] as number) > 0) fits++;
  return fits;
}

/** Calls back for the products that have something for enough slots, in any order. */
function eachCandidate(
  matches: Match[],
  need: number,
  count: number,
  found: (ordinal: number, fits: number) => void,
): void {
  const [rarest] = matches.toSorted((a, b) => a.found - b.found);
  // Whatever has all slots has the rarest.
  const among = need < matches.length ? undefined : (rarest as Match);
  const most = among?.found ?? count;
  for (let n = 0; n < most; n++) {
    const ordinal = among ? (among.ordinals[n] as number) : n;
    const fits = fitting(matches, ordinal);
    if (fits >= need) found(ordinal, fits);
  }
}

/** The products that a plan leaves out, whatever their words are worth; undefined when there are none. */
function barredBy({ phrases, without }: Plan, segment: SegmentView): Uint8Array | undefined {
  if (phrases.length + without.length === 0) return undefined;
  const barred = new Uint8Array(segment.count);
  const bar = (terms: string[], mark: 0 | 1) => {
    const marked = markPhrase(segment, terms);
    for (let ordinal = 0; ordinal < barred.length; ordinal++)
      if (marked[ordinal] === mark) barred[ordinal] = 1;
  };
  for (const terms of phrases) bar(terms, 0);
  for (const terms of without) bar(terms, 1);
  return barred;
}

/** Scores of what the words of a product are worth: 0 when they do not fit. */
function textScore(plan: Plan, matches: Match[], weights: Weights, need: number) {
  const slots = matches.length;
  const numeric = plan.slots.map(({ surface }) => slots > 1 && ALL_DIGITS.test(surface));
  const places = matches.map(newPlaces);
  /** What a number is worth: little far from the words beside it. */
  const numberFit = (slot: number, ordinal: number, fit: number): number => {
    let named = false;
    for (const other of [slot - 1, slot + 1]) {
      const beside = matches[other];
      if (!beside) continue;
      if (inReach(places[slot] as Places, places[other] as Places)) return fit;
      named ||= (beside.value[ordinal] as number) >= DESCRIBED;
    }
    return named && fit >= DESCRIBED ? fit * STRAY : 0;
  };
  return (ordinal: number, has: number): number => {
    let matched = has;
    if (slots > 1)
      for (let slot = 0; slot < slots; slot++)
        readPlacesOf(matches[slot] as Match, ordinal, places[slot] as Places);
    let sum = 0;
    let weakest = 1;
    let before = 0;
    for (let slot = 0; slot < slots; slot++) {
      let fit = (matches[slot] as Match).value[ordinal] as number;
      if (fit > 0 && numeric[slot]) {
        fit = numberFit(slot, ordinal, fit);
        if (fit === 0 && --matched < need) return 0;
      }
      if (fit > 0 || need === slots) weakest = Math.min(weakest, fit);
      const value = fit * (weights[slot] as number);
      sum += value;
      if (before > 0 && value > 0) {
        const near = nearness(places[slot - 1] as Places, places[slot] as Places);
        sum += near * SIDE_BY_SIDE * Math.min(before, value);
      }
      before = value;
    }
    return sum * (WEAKEST + (1 - WEAKEST) * Math.min(1, weakest / WELL));
  };
}

/** The products of a segment that fit, ascending, and scores by ordinal, 0 for all others. */
export interface Scores {
  ordinals: Uint16Array;
  scores: Float32Array;
}

/**
 * Scores of the products of a segment.
 * @param weights as `weightsOf` gives them, from all segments
 */
export function scoresOf(segment: SegmentView, plan: Plan, weights: Weights, strictness: Strictness): Scores {
  const { count } = segment;
  const scores = new Float32Array(count);
  const need = Math.max(1, wordsNeeded(plan.slots.length, strictness));
  const matches = plan.slots.map((slot, number) => matchSlot(segment, number, slot, strictness));
  if (matches.filter(({ found }) => found > 0).length < need) return { ordinals: NONE, scores };
  const barred = barredBy(plan, segment);
  const brands = plan.brands.map(({ term, from, length }) => {
    const marked = new Uint8Array(count);
    for (const ordinal of segment.postings(term)?.ordinals ?? []) marked[ordinal] = 1;
    return { marked, worth: weights.slice(from, from + length).reduce((sum, weight) => sum + weight, 0) };
  });
  const scoreOf = textScore(plan, matches, weights, need);
  const factorAt = factorsOf(segment, plan, matches, need);
  const ordinals = new Uint16Array(count);
  let found = 0;
  eachCandidate(matches, need, count, (ordinal, fits) => {
    if (barred?.[ordinal] === 1) return;
    let sum = scoreOf(ordinal, fits);
    if (sum === 0) return;
    for (const { marked, worth } of brands) if (marked[ordinal] === 1) sum += worth * OF_BRAND;
    scores[ordinal] = sum * factorAt(ordinal);
    ordinals[found++] = ordinal;
  });
  return { ordinals: ordinals.subarray(0, found).sort(), scores };
}

/** How well products of a segment fit a plan. */
import { IMPACT_STEPS } from "./analyse";
import { ALL_DIGITS, type Plan } from "./query";
import { type Postings, placesAt } from "./segment";
import { stemOf } from "./text";

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

/** The weight of each slot, from all products that are searched. Kept in a cursor, so that pages agree. */
export type Weights = number[];

/** Impact at which a term has half of its effect (the k1 of BM25). */
const HALF = 3;
/** The impact of a term that the product is named after. */
const NAMED = 5;
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
const DESCRIBED = 12;
/** How many words may lie between a number and the word that it belongs to ("iPhone 6s Plus and 7"). */
const REACH = 6;
/** What is left of the score of a longer model than the one that is asked for. */
const OTHER_MODEL = 0.75;
/** What is left of a score when one word hardly fits, and how well it must fit for nothing to be lost. */
const WEAKEST = 0.5;
const WELL = 0.3;
/** What each power of ten of popularity adds. */
const POPULARITY = 0.08;

const saturate = (steps: number): number => steps / (steps + HALF * IMPACT_STEPS);

/** How strictly a plan is applied: each step is tried when the one before it finds nothing. */
export const STRICTNESS = ["exact", "spare", "most"] as const;
export type Strictness = (typeof STRICTNESS)[number];

/** How many words a product must have: all; at last, of four and more, three quarters. */
export const wordsNeeded = (words: number, strictness: Strictness): number =>
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
      for (const term of terms.slice(0, 1)) {
        for (const segment of segments) {
          const postings = segment.postings(term);
          if (!postings) continue;
          for (const impact of postings.impacts) sum += Math.min(1, impact / (NAMED * IMPACT_STEPS));
        }
      }
      most = Math.max(most, sum);
    }
    return 0.2 + Math.log(1 + (total - most + 0.5) / (most + 0.5));
  });
}

interface Match {
  value: Float32Array;
  /** Which postings, plus one, and where in it: for places. */
  source: Uint8Array;
  index: Uint32Array;
  lists: Postings[];
}

/** The best that each product has for a slot. */
function matchSlot(segment: SegmentView, slot: Plan["slots"][number], strictness: Strictness): Match {
  const match: Match = {
    value: new Float32Array(segment.count),
    source: new Uint8Array(segment.count),
    index: new Uint32Array(segment.count),
    lists: [],
  };
  for (const { terms, weight, spare } of slot.alternatives) {
    if (spare && strictness === "exact") continue;
    const lists = terms.map((term) => segment.postings(term));
    if (lists.some((list) => list === undefined)) continue;
    const [first, ...others] = lists as [Postings, ...Postings[]];
    match.lists.push(first);
    const place = Math.min(255, match.lists.length);
    // Of several terms that are all needed, the weakest decides.
    const rest = others.map((list) => {
      const impacts = new Uint8Array(segment.count);
      for (let n = 0; n < list.ordinals.length; n++)
        impacts[list.ordinals[n] as number] = list.impacts[n] as number;
      return impacts;
    });
    for (let n = 0; n < first.ordinals.length; n++) {
      const ordinal = first.ordinals[n] as number;
      let impact = first.impacts[n] as number;
      for (const impacts of rest) impact = Math.min(impact, impacts[ordinal] as number);
      const value = weight * saturate(impact);
      if (value > (match.value[ordinal] as number)) {
        match.value[ordinal] = value;
        match.source[ordinal] = place;
        match.index[ordinal] = n;
      }
    }
  }
  return match;
}

const placesOf = (match: Match, ordinal: number): number[] => {
  const list = match.lists[(match.source[ordinal] as number) - 1];
  return list ? placesAt(list, match.index[ordinal] as number) : [];
};

/** 1 when two stand side by side in their order or are one, 0.5 with one word between them, else 0. */
function nearness(left: number[], right: number[]): number {
  let best = 0;
  for (const place of left) {
    if (right.includes(place + 1) || right.includes(place)) return 1;
    if (right.includes(place + 2)) best = 0.5;
  }
  return best;
}

const inReach = (left: number[], right: number[]): boolean =>
  left.some((place) => right.some((other) => Math.abs(other - place) <= REACH));

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
    for (const [index, list] of others.entries()) {
      let place = at[index] as number;
      while (place < list.ordinals.length && (list.ordinals[place] as number) < ordinal) place++;
      at[index] = place;
      if (list.ordinals[place] !== ordinal) all = false;
    }
    if (all)
      found(ordinal, [
        [first, n],
        ...others.map((list, index): [Postings, number] => [list, at[index] as number]),
      ]);
  }
}

/** Marks the products in which terms stand side by side in their order. */
function markPhrase(segment: SegmentView, terms: string[]): Uint8Array {
  const marked = new Uint8Array(segment.count);
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

/** Marks the products that name only the longer model. */
function markVariant(
  segment: SegmentView,
  { base, longer }: Plan["variants"][number],
  marked: Uint8Array,
): void {
  together(segment, [longer, base], (ordinal, [long, short]) => {
    const taken = placesAt(...(long as [Postings, number]));
    // Descriptions hold no words written as one, and come last.
    const end = (taken.at(-1) as number) + REACH;
    const named = placesAt(...(short as [Postings, number])).filter((place) => place < end);
    if (named.every((place) => taken.includes(place))) marked[ordinal] = 1;
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

/**
 * Scores of the products of a segment, 0 for those that do not fit.
 * @param weights as `weightsOf` gives them, from all segments
 */
export function scoresOf(
  segment: SegmentView,
  plan: Plan,
  weights: Weights,
  strictness: Strictness,
): Float32Array {
  const { count } = segment;
  const scores = new Float32Array(count);
  const need = wordsNeeded(plan.slots.length, strictness);
  const matches = plan.slots.map((slot) => matchSlot(segment, slot, strictness));
  const stems = plan.slots.map(
    ({ alternatives }) =>
      new Set(alternatives.flatMap(({ terms, spare }) => (spare ? [] : terms.map(stemOf)))),
  );
  const factors = segment.kinds.map((kind) => factorOf(kind, stems));
  const required = plan.phrases.map((terms) => markPhrase(segment, terms));
  const excluded = plan.without.map((terms) => markPhrase(segment, terms));
  const others = new Uint8Array(count);
  for (const variant of plan.variants) markVariant(segment, variant, others);
  const brands = plan.brands.map(({ term, from, length }) => {
    const marked = new Uint8Array(count);
    for (const ordinal of segment.postings(term)?.ordinals ?? []) marked[ordinal] = 1;
    return { marked, worth: weights.slice(from, from + length).reduce((sum, weight) => sum + weight, 0) };
  });
  const numeric = plan.slots.map(({ surface }) => ALL_DIGITS.test(surface));
  const places: number[][] = [];
  for (let ordinal = 0; ordinal < count; ordinal++) {
    let matched = 0;
    for (const { value } of matches) if ((value[ordinal] as number) > 0) matched++;
    if (matched < Math.max(1, need)) continue;
    if (required.some((marks) => marks[ordinal] === 0) || excluded.some((marks) => marks[ordinal] === 1))
      continue;
    for (let slot = 0; slot < matches.length; slot++) {
      places[slot] = matches.length > 1 ? placesOf(matches[slot] as Match, ordinal) : [];
    }
    let sum = 0;
    let weakest = 1;
    let before = 0;
    for (let slot = 0; slot < matches.length; slot++) {
      let fit = (matches[slot] as Match).value[ordinal] as number;
      if (fit > 0 && numeric[slot] && matches.length > 1) {
        const beside = [slot - 1, slot + 1].filter((other) => other >= 0 && other < matches.length);
        const fitOf = (other: number) => (matches[other] as Match).value[ordinal] as number;
        if (!beside.some((other) => inReach(places[slot] as number[], places[other] as number[]))) {
          const named =
            fit >= saturate(DESCRIBED) && beside.some((other) => fitOf(other) >= saturate(DESCRIBED));
          fit = named ? fit * STRAY : 0;
          if (fit === 0) matched--;
        }
      }
      if (fit > 0 || need === matches.length) weakest = Math.min(weakest, fit);
      const value = fit * (weights[slot] as number);
      sum += value;
      if (before > 0 && value > 0)
        sum +=
          nearness(places[slot - 1] as number[], places[slot] as number[]) *
          SIDE_BY_SIDE *
          Math.min(before, value);
      before = value;
    }
    if (matched < Math.max(1, need)) continue;
    sum *= WEAKEST + (1 - WEAKEST) * Math.min(1, weakest / WELL);
    for (const { marked, worth } of brands) if (marked[ordinal] === 1) sum += worth * OF_BRAND;
    const popularity = 1 + POPULARITY * Math.log10(1 + Math.max(0, segment.popularity[ordinal] as number));
    scores[ordinal] =
      sum *
      popularity *
      (factors[segment.kind[ordinal] as number] ?? 1) *
      (others[ordinal] === 1 ? OTHER_MODEL : 1);
  }
  return scores;
}

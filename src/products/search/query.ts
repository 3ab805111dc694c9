/** What a person typed, taken apart, and the ways to satisfy each word of it. */

import { brandTerm } from "./analyse";
import { distance, mistakesIn, neighbourhood } from "./distance";
import { joined, runsOf, STOP_WORDS, stemOf, type Word, wordsOf } from "./text";

/** A word of the index. */
export interface LexiconEntry {
  surface: string;
  /** How many products had it when that was counted last. */
  count: number;
  /** Two neighbours written as one, or a brand: nothing that anybody wrote. */
  made: boolean;
  /** How many of these have it elsewhere than in the description. */
  named: number;
  /** In how many of these products it stands right behind a number in the name. */
  behindNumber: number;
}

/** The words of the index, wherever they are kept. */
export interface Lexicon {
  /** Those of these that are there, and those that have one of these stems. */
  find(surfaces: string[], stems: string[]): Promise<LexiconEntry[]>;
  /** Those that begin so and that some product is named with, the most frequent first; or `made` ones. */
  startingWith(prefix: string, limit: number, made: boolean): Promise<LexiconEntry[]>;
  /** Those that some product is named with whose neighbourhood holds one of these, the most frequent first. */
  near(members: string[], limit: number): Promise<LexiconEntry[]>;
}

/** What words also stand for: where they are in the query, and what is as good. */
export interface Synonym {
  from: number;
  length: number;
  to: string;
}
export type Synonyms = (words: string[]) => Synonym[];

/** One way to satisfy a word: a product that has all of these terms. */
export interface Alternative {
  terms: string[];
  /** 1 for what was typed; less the farther it is from it. */
  weight: number;
  /** Tried only when nothing fits without it: the word itself is there. */
  spare?: boolean;
}

/** A word that is looked for. */
export interface Slot {
  surface: string;
  alternatives: Alternative[];
  /** What it was taken for, when nothing is written as it was typed. */
  corrected?: string;
}

/** What is looked for. */
export interface Plan {
  slots: Slot[];
  /** Terms that must stand side by side, in this order. */
  phrases: string[][];
  /** Products with one of these, side by side when several, are left out. */
  without: string[][];
  /** Brands that are named, with the slots that name them. */
  brands: { term: string; from: number; length: number }[];
  /** Models that go on where the query ends ("s7", "s7edge"): a product with only those is another one. */
  variants: { base: string; longer: string }[];
}

/** Most words of a query that are looked for, so that no text makes a search long. */
const MOST_WORDS = 16;
/** Most ways to finish the last word. */
const MOST_BEGINNINGS = 10;
/** Most words that are taken for a mistyped one. */
const MOST_CORRECTIONS = 4;
/** Most words of one stem. */
const MOST_OF_STEM = 6;
/** How many times as frequent a neighbour must be for a word that is there to be taken for a mistake as well. */
const DOUBTFUL = 25;
/** The share of a word's products in which it stands behind a number, from which on it names a variant of a model. */
const VARIANT = 0.7;

const WEIGHTS = {
  plural: 0.97,
  stem: 0.7,
  beginning: 0.8,
  joined: 0.95,
  split: 0.9,
  synonym: 0.85,
  one: 0.75,
  two: 0.55,
} as const;

export interface ParsedQuery {
  words: Word[];
  phrases: Word[][];
  without: Word[][];
  /** The query ends in the last word, so that it may not be finished. */
  open: boolean;
}

/**
 * Takes a query apart. A quote without an end goes to the end; a minus counts only before a word or a quote, at the
 * beginning or after a space ("-case", but not "wi-fi").
 */
export function parseQuery(query: string): ParsedQuery {
  const parsed: ParsedQuery = { words: [], phrases: [], without: [], open: true };
  const pieces = query.replace(/[“”„«»]/gu, '"').matchAll(/(?<!\S)(-?)"([^"]*)"?|([^\s"]+)|"/gu);
  for (const [, minus, phrase, word] of pieces) {
    if (phrase !== undefined) {
      const words = wordsOf(phrase).slice(0, MOST_WORDS);
      if (words.length === 0) continue;
      if (minus === "-") parsed.without.push(words);
      else {
        parsed.phrases.push(words);
        parsed.words.push(...words);
      }
      parsed.open = false;
    } else if (word !== undefined) {
      const negated = /^-[\p{L}\p{N}]/u.test(word);
      const words = wordsOf(negated ? word.slice(1) : word);
      if (negated) {
        if (words.length > 0) parsed.without.push(words.slice(0, MOST_WORDS));
      } else {
        parsed.words.push(...words);
        parsed.open = words.length > 0;
      }
    }
  }
  // A space behind the last word says that it is finished.
  if (/\s$/u.test(query)) parsed.open = false;
  return parsed;
}

const HAS_DIGIT = /\p{N}/u;
export const ALL_DIGITS = /^\p{N}+$/u;

/** The words that tell something; the others only when there are none. */
const telling = (words: Word[]): Word[] => {
  const found = words.filter(({ surface }) => !STOP_WORDS.has(surface));
  return (found.length > 0 ? found : words).slice(0, MOST_WORDS);
};

/** Cuts a mix in two, wherever letters and digits meet. */
function cutsOf(surface: string): [string, string][] {
  const runs = runsOf(surface);
  return runs.slice(1).map((_, index) => [runs.slice(0, index + 1).join(""), runs.slice(index + 1).join("")]);
}

const isPlural = (one: string, other: string): boolean => {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return (
    long === `${short}s` ||
    long === `${short}es` ||
    (short.endsWith("y") && long === `${short.slice(0, -1)}ies`)
  );
};

class Planner {
  readonly #known = new Map<string, LexiconEntry>();
  readonly #stems = new Map<string, LexiconEntry[]>();

  constructor(readonly lexicon: Lexicon) {}

  async learn(surfaces: string[]): Promise<void> {
    const asked = [...new Set(surfaces)].filter((surface) => !this.#known.has(surface));
    if (asked.length === 0) return;
    const stems = [...new Set(asked.map(stemOf))].filter((stem) => !this.#stems.has(stem));
    for (const stem of stems) this.#stems.set(stem, []);
    for (const entry of await this.lexicon.find(asked, stems)) {
      this.#known.set(entry.surface, entry);
      const family = this.#stems.get(stemOf(entry.surface));
      if (!entry.made && family && !family.some(({ surface }) => surface === entry.surface))
        family.push(entry);
    }
  }

  count(surface: string): number {
    return this.#known.get(surface)?.count ?? 0;
  }

  /** Other words of its stem, the most frequent first. */
  family(surface: string): LexiconEntry[] {
    return (this.#stems.get(stemOf(surface)) ?? [])
      .filter((entry) => entry.surface !== surface)
      .sort((a, b) => b.count - a.count)
      .slice(0, MOST_OF_STEM);
  }

  /** Whether it, or another form of it, is there. */
  has(surface: string): boolean {
    return this.#known.has(surface) || this.family(surface).length > 0;
  }

  /** Words that a word may be a mistyping of, the nearest and then the most frequent first. */
  async corrections(surface: string): Promise<{ entry: LexiconEntry; mistakes: number }[]> {
    const most = mistakesIn(surface);
    if (most === 0) return [];
    const found: { entry: LexiconEntry; mistakes: number }[] = [];
    for (const entry of await this.lexicon.near(neighbourhood(surface, most), 500)) {
      if (entry.surface === surface || stemOf(entry.surface) === stemOf(surface)) continue;
      // The shorter of the two says how many mistakes it bears.
      const allowed = Math.min(most, Math.max(1, mistakesIn(entry.surface)));
      const mistakes = distance(surface, entry.surface, allowed);
      if (mistakes <= allowed) found.push({ entry, mistakes });
    }
    const rank = ({ entry, mistakes }: (typeof found)[number]) =>
      mistakes * 4 - Math.log10(1 + entry.count) - (entry.surface[0] === surface[0] ? 1 : 0);
    return found.sort((a, b) => rank(a) - rank(b) || (a.entry.surface < b.entry.surface ? -1 : 1));
  }
}

/** Cuts mixes of letters and digits that are not there in two that are, or that may be there but for a mistake. */
async function divide(planner: Planner, words: Word[]): Promise<Word[]> {
  const cuts = new Map<Word, [string, string][]>();
  for (const word of words)
    if (!word.pair && !planner.has(word.surface)) cuts.set(word, cutsOf(word.surface));
  await planner.learn([...cuts.values()].flat(2));
  const least = (parts: [string, string]) => Math.min(...parts.map((part) => planner.count(part)));
  return words.flatMap((word) => {
    const options = (cuts.get(word) ?? []).filter((parts) =>
      parts.every((part) => part.length > 1 || ALL_DIGITS.test(part)),
    );
    const [best] = options
      .filter((parts) => parts.every((part) => planner.has(part)))
      .sort((a, b) => least(b) - least(a));
    const parts = best ?? options.find(([left]) => mistakesIn(left) > 0);
    return parts ? parts.map((surface) => ({ ...word, surface, parts: [] })) : [word];
  });
}

/** A word that is meant as it is written. */
const exactly = ({ surface }: Word): Slot => ({ surface, alternatives: [{ terms: [surface], weight: 1 }] });

/** Products that a word must be in at least for nobody to ask whether it is a mistake. */
const COMMON = 20;

/** How far a plan goes beyond what was typed. */
export interface Reach {
  /** With what is only for when nothing else fits. */
  spare: boolean;
  /** The last word is finished even when it is a word by itself, as while somebody types. */
  finish?: boolean;
}

/** The ways to satisfy one word by itself. */
async function slotOf(
  planner: Planner,
  word: Word,
  open: boolean,
  { spare, finish = false }: Reach,
): Promise<Slot> {
  const { surface } = word;
  const slot: Slot = { surface, alternatives: [{ terms: [surface], weight: 1 }] };
  const add = (term: string, weight: number, isSpare: boolean) => {
    if (spare || !isSpare)
      slot.alternatives.push({ terms: [term], weight, ...(isSpare ? { spare: true } : {}) });
  };
  for (const entry of planner.family(surface)) {
    add(entry.surface, isPlural(surface, entry.surface) ? WEIGHTS.plural : WEIGHTS.stem, false);
  }
  if (word.parts.length > 0) slot.alternatives.push({ terms: word.parts, weight: WEIGHTS.split });
  const there = planner.has(surface);
  const finished = !open || ALL_DIGITS.test(surface) || word.pair || [...surface].length < 2;
  const sure = word.pair || (there && planner.count(surface) >= COMMON);
  const [beginnings, nearest] = await Promise.all([
    finished || (there && !spare && !finish)
      ? []
      : planner.lexicon.startingWith(surface, MOST_BEGINNINGS, false),
    sure && !spare ? [] : planner.corrections(surface),
  ]);
  for (const entry of beginnings)
    if (entry.surface !== surface) add(entry.surface, WEIGHTS.beginning, there && !finish);
  const doubtful = Math.max(1, planner.count(surface)) * DOUBTFUL;
  for (const { entry, mistakes } of nearest.slice(0, MOST_CORRECTIONS)) {
    const likely = beginnings.length === 0 && (!there || (mistakes === 1 && entry.count >= doubtful));
    add(entry.surface, mistakes === 1 ? WEIGHTS.one : WEIGHTS.two, !likely);
    if (likely || (spare && beginnings.length === 0)) slot.corrected ??= entry.surface;
  }
  return slot;
}

/** What two neighbours are when they are written as one, and what a number at the end may go on as. */
async function joinSlots(planner: Planner, words: Word[], slots: Slot[], open: boolean): Promise<void> {
  for (const [index, word] of words.entries()) {
    const next = words[index + 1];
    if (!next || word.pair || next.pair) continue;
    const whole = joined(word.surface, next.surface);
    const both = [slots[index], slots[index + 1]] as [Slot, Slot];
    const there = planner.has(whole);
    const add = (term: string, weight: number, spare = false) => {
      for (const slot of both) slot.alternatives.push({ terms: [term], weight, ...(spare ? { spare } : {}) });
    };
    if (there) {
      add(whole, WEIGHTS.joined);
      for (const slot of both) if (planner.count(slot.surface) === 0) delete slot.corrected;
    }
    if (!open || index !== words.length - 2 || !ALL_DIGITS.test(next.surface)) continue;
    for (const entry of await planner.lexicon.startingWith(whole, MOST_BEGINNINGS, true)) {
      if (/^\p{L}{1,2}$/u.test(entry.surface.slice(whole.length)))
        add(entry.surface, WEIGHTS.beginning, there);
    }
  }
}

/** Runs of words that may name a brand as a whole. */
const spansOf = (words: Word[]): Plan["brands"] =>
  words.flatMap((_, from) =>
    [1, 2, 3, 4]
      .filter((length) => from + length <= words.length)
      .map((length) => ({ term: brandTerm(words.slice(from, from + length)), from, length })),
  );

/** Brands that the words name as a whole. */
const brandsOf = (planner: Planner, words: Word[]): Plan["brands"] =>
  spansOf(words).filter(({ term }) => planner.count(term) > 0);

/** Models of which a word with a digit names the first part, while the query does not go on so. */
async function variantsOf(planner: Planner, words: Word[]): Promise<Plan["variants"]> {
  const variants: Plan["variants"] = [];
  const numbered = words.filter(({ surface }) => HAS_DIGIT.test(surface));
  const find = async ({ surface }: Word) => {
    const longer = (await planner.lexicon.startingWith(surface, 40, true)).filter(
      (entry) => entry.made && /^\p{L}{2,}$/u.test(entry.surface.slice(surface.length)),
    );
    const suffixes = longer.map((entry) => entry.surface.slice(surface.length));
    const entries = await planner.lexicon.find(suffixes, []);
    for (const { surface: suffix, named, behindNumber } of entries) {
      if (behindNumber < 2 || behindNumber < named * VARIANT || words.some((word) => word.surface === suffix))
        continue;
      variants.push({ base: surface, longer: joined(surface, suffix) });
    }
  };
  await Promise.all(numbered.map(find));
  return variants.sort((a, b) => (a.longer < b.longer ? -1 : 1));
}

/**
 * What is looked for: each word with the ways to satisfy it, found in the words of the index.
 * @param parsed as `parseQuery` gives it
 */
export async function planOf(
  parsed: ParsedQuery,
  lexicon: Lexicon,
  synonyms: Synonyms,
  reach: Reach,
): Promise<Plan> {
  const planner = new Planner(lexicon);
  const typed = telling(parsed.words);
  const neighbours = (words: Word[]) =>
    words.slice(1).map((word, index) => joined((words[index] as Word).surface, word.surface));
  await planner.learn([
    ...typed.flatMap((word) => [word.surface, ...word.parts]),
    ...neighbours(typed),
    ...spansOf(typed).map(({ term }) => term),
    ...parsed.without.flat().map(({ surface }) => surface),
  ]);
  const words = await divide(planner, typed);
  if (words.length !== typed.length) {
    await planner.learn([...neighbours(words), ...spansOf(words).map(({ term }) => term)]);
  }
  const quoted = new Set(parsed.phrases.flat().map(({ surface }) => surface));
  const [slots, variants] = await Promise.all([
    Promise.all(
      words.map((word, index) =>
        quoted.has(word.surface)
          ? exactly(word)
          : slotOf(planner, word, parsed.open && index === words.length - 1, reach),
      ),
    ),
    variantsOf(planner, words),
  ]);
  if (quoted.size === 0) await joinSlots(planner, words, slots, parsed.open);
  for (const { from, length, to } of synonyms(words.map(({ surface }) => surface))) {
    const other = wordsOf(to).map(({ surface }) => surface);
    await planner.learn(other);
    const plurals =
      other.length === 1
        ? planner.family(other[0] as string).filter((entry) => isPlural(entry.surface, other[0] as string))
        : [];
    for (const slot of slots.slice(from, from + length)) {
      slot.alternatives.push({ terms: other, weight: WEIGHTS.synonym });
      for (const { surface } of plurals)
        slot.alternatives.push({ terms: [surface], weight: WEIGHTS.synonym });
      delete slot.corrected;
    }
  }
  const surfaces = (list: Word[]) => list.map(({ surface }) => surface);
  return {
    slots,
    phrases: parsed.phrases.map(surfaces),
    without: parsed.without.flatMap((list) =>
      list.length > 1
        ? [surfaces(list)]
        : [
            surfaces(list),
            ...planner
              .family(list[0]?.surface ?? "")
              .filter((entry) => isPlural(entry.surface, list[0]?.surface ?? ""))
              .map((entry) => [entry.surface]),
          ],
    ),
    brands: brandsOf(planner, words),
    variants,
  };
}

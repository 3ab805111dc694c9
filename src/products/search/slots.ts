/** The ways to satisfy each word of a query. */
import { mistakesIn } from "./distance";
import type { KnownWords } from "./lexicon";
import { joined, runsOf, type Word } from "./text";

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

/** Most ways to finish the last word. */
const MOST_BEGINNINGS = 10;
/** How many times as frequent a neighbour must be for a word that is there to be taken for a mistake as well. */
const DOUBTFUL = 25;

/** What each way is worth beside the word as it was typed. */
export const WEIGHTS = {
  plural: 0.97,
  stem: 0.7,
  beginning: 0.8,
  joined: 0.95,
  split: 0.9,
  synonym: 0.85,
  one: 0.75,
  two: 0.55,
} as const;

export const ALL_DIGITS = /^\p{N}+$/u;

/** Cuts a mix in two, wherever letters and digits meet. */
function cutsOf(surface: string): [string, string][] {
  const runs = runsOf(surface);
  return runs.slice(1).map((_, index) => [runs.slice(0, index + 1).join(""), runs.slice(index + 1).join("")]);
}

/** Whether one is the plural of the other. */
export const isPlural = (one: string, other: string): boolean => {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return (
    long === `${short}s` ||
    long === `${short}es` ||
    (short.endsWith("y") && long === `${short.slice(0, -1)}ies`)
  );
};

/** Cuts mixes of letters and digits that are not there in two that are, or that may be there but for a mistake. */
export async function divide(known: KnownWords, words: Word[]): Promise<Word[]> {
  const cuts = new Map<Word, [string, string][]>();
  for (const word of words) if (!word.pair && !known.has(word.surface)) cuts.set(word, cutsOf(word.surface));
  await known.learn([...cuts.values()].flat(2));
  const least = (parts: [string, string]) => Math.min(...parts.map((part) => known.count(part)));
  return words.flatMap((word) => {
    const options = (cuts.get(word) ?? []).filter((parts) =>
      parts.every((part) => part.length > 1 || ALL_DIGITS.test(part)),
    );
    const [best] = options
      .filter((parts) => parts.every((part) => known.has(part)))
      .sort((a, b) => least(b) - least(a));
    const parts = best ?? options.find(([left]) => mistakesIn(left) > 0);
    return parts ? parts.map((surface) => ({ ...word, surface, parts: [] })) : [word];
  });
}

/** A word that is meant as it is written. */
export const exactly = ({ surface }: Word): Slot => ({
  surface,
  alternatives: [{ terms: [surface], weight: 1 }],
});

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
export async function slotOf(
  known: KnownWords,
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
  for (const entry of known.family(surface)) {
    add(entry.surface, isPlural(surface, entry.surface) ? WEIGHTS.plural : WEIGHTS.stem, false);
  }
  if (word.parts.length > 0) slot.alternatives.push({ terms: [...word.parts], weight: WEIGHTS.split });
  const there = known.has(surface);
  const finished = !open || ALL_DIGITS.test(surface) || word.pair || [...surface].length < 2;
  const sure = word.pair || (there && known.count(surface) >= COMMON);
  const [beginnings, nearest] = await Promise.all([
    finished || (there && !spare && !finish)
      ? []
      : known.lexicon.startingWith(surface, MOST_BEGINNINGS, false),
    sure && !spare ? [] : known.lexicon.corrections(surface),
  ]);
  for (const entry of beginnings)
    if (entry.surface !== surface) add(entry.surface, WEIGHTS.beginning, there && !finish);
  const doubtful = Math.max(1, known.count(surface)) * DOUBTFUL;
  for (const { entry, mistakes } of nearest) {
    const likely = beginnings.length === 0 && (!there || (mistakes === 1 && entry.count >= doubtful));
    add(entry.surface, mistakes === 1 ? WEIGHTS.one : WEIGHTS.two, !likely);
    if (likely || (spare && beginnings.length === 0)) slot.corrected ??= entry.surface;
  }
  return slot;
}

/** What two neighbours are when they are written as one, and what a number at the end may go on as. */
export async function joinSlots(
  known: KnownWords,
  words: Word[],
  slots: Slot[],
  open: boolean,
): Promise<void> {
  for (const [index, word] of words.entries()) {
    const next = words[index + 1];
    if (!next || word.pair || next.pair) continue;
    const whole = joined(word.surface, next.surface);
    const both = [slots[index], slots[index + 1]] as [Slot, Slot];
    const there = known.has(whole);
    const add = (term: string, weight: number, spare = false) => {
      for (const slot of both) slot.alternatives.push({ terms: [term], weight, ...(spare ? { spare } : {}) });
    };
    if (there) {
      add(whole, WEIGHTS.joined);
      for (const slot of both) if (known.count(slot.surface) === 0) delete slot.corrected;
    }
    if (!open || index !== words.length - 2 || !ALL_DIGITS.test(next.surface)) continue;
    for (const entry of await known.lexicon.startingWith(whole, MOST_BEGINNINGS, true)) {
      if (/^\p{L}{1,2}$/u.test(entry.surface.slice(whole.length)))
        add(entry.surface, WEIGHTS.beginning, there);
    }
  }
}

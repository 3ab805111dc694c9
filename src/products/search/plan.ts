/** What is looked for: each word of a query with the ways to satisfy it, found in the words of the index. */
import { brandTerm } from "./analyse";
import { KnownWords, type Lexicon } from "./lexicon";
import { MOST_WORDS, type ParsedQuery } from "./parse";
import { divide, exactly, isPlural, joinSlots, type Reach, type Slot, slotOf, WEIGHTS } from "./slots";
import { joined, STOP_WORDS, type Word, wordsOf } from "./text";

/** What words also stand for: where they are in the query, and what is as good. */
export interface Synonym {
  from: number;
  length: number;
  to: string;
}
export type Synonyms = (words: string[]) => Synonym[];

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

/** The share of a word's products in which it stands behind a number, from which on it names a variant of a model. */
const VARIANT = 0.7;

const HAS_DIGIT = /\p{N}/u;

/** The words that tell something; the others only when there are none. */
const telling = (words: Word[]): Word[] => {
  const found = words.filter(({ surface }) => !STOP_WORDS.has(surface));
  return (found.length > 0 ? found : words).slice(0, MOST_WORDS);
};

/** Runs of words that may name a brand as a whole. */
const spansOf = (words: Word[]): Plan["brands"] =>
  words.flatMap((_, from) =>
    [1, 2, 3, 4]
      .filter((length) => from + length <= words.length)
      .map((length) => ({ term: brandTerm(words.slice(from, from + length)), from, length })),
  );

/** Brands that the words name as a whole. */
const brandsOf = (known: KnownWords, words: Word[]): Plan["brands"] =>
  spansOf(words).filter(({ term }) => known.count(term) > 0);

/** Models of which a word with a digit names the first part, while the query does not go on so. */
async function variantsOf(known: KnownWords, words: Word[]): Promise<Plan["variants"]> {
  const variants: Plan["variants"] = [];
  const numbered = words.filter(({ surface }) => HAS_DIGIT.test(surface));
  const find = async ({ surface }: Word) => {
    const longer = (await known.lexicon.startingWith(surface, 40, true)).filter(
      (entry) => entry.made && /^\p{L}{2,}$/u.test(entry.surface.slice(surface.length)),
    );
    const suffixes = longer.map((entry) => entry.surface.slice(surface.length));
    const entries = await known.lexicon.find(suffixes, []);
    for (const { surface: suffix, named, behindNumber } of entries) {
      if (behindNumber < 2 || behindNumber < named * VARIANT || words.some((word) => word.surface === suffix))
        continue;
      variants.push({ base: surface, longer: joined(surface, suffix) });
    }
  };
  await Promise.all(numbered.map(find));
  return variants.sort((a, b) => (a.longer < b.longer ? -1 : 1));
}

/** Adds to each word what stands for it, with its plurals. */
async function addSynonyms(
  known: KnownWords,
  words: Word[],
  slots: Slot[],
  synonyms: Synonyms,
): Promise<void> {
  const others = synonyms(words.map(({ surface }) => surface)).map(({ from, length, to }) => ({
    own: slots.slice(from, from + length),
    terms: wordsOf(to).map(({ surface }) => surface),
  }));
  await known.learn(others.flatMap(({ terms }) => terms));
  for (const { own, terms } of others) {
    const [only] = terms.length === 1 ? terms : [];
    const plurals = only ? known.family(only).filter((entry) => isPlural(entry.surface, only)) : [];
    for (const slot of own) {
      for (const form of [terms, ...plurals.map(({ surface }) => [surface])])
        slot.alternatives.push({ terms: form, weight: WEIGHTS.synonym });
      delete slot.corrected;
    }
  }
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
  const known = new KnownWords(lexicon);
  const typed = telling(parsed.words);
  const neighbours = (words: Word[]) =>
    words.slice(1).map((word, index) => joined((words[index] as Word).surface, word.surface));
  await known.learn([
    ...typed.flatMap((word) => [word.surface, ...word.parts]),
    ...neighbours(typed),
    ...spansOf(typed).map(({ term }) => term),
    ...parsed.without.flat().map(({ surface }) => surface),
  ]);
  const words = await divide(known, typed);
  if (words.length !== typed.length) {
    await known.learn([...neighbours(words), ...spansOf(words).map(({ term }) => term)]);
  }
  const quoted = new Set(parsed.phrases.flat().map(({ surface }) => surface));
  const [slots, variants] = await Promise.all([
    Promise.all(
      words.map((word, index) =>
        quoted.has(word.surface)
          ? exactly(word)
          : slotOf(known, word, parsed.open && index === words.length - 1, reach),
      ),
    ),
    variantsOf(known, words),
  ]);
  if (quoted.size === 0) await joinSlots(known, words, slots, parsed.open);
  await addSynonyms(known, words, slots, synonyms);
  const surfaces = (list: Word[]) => list.map(({ surface }) => surface);
  return {
    slots,
    phrases: parsed.phrases.map(surfaces),
    without: parsed.without.flatMap((list) =>
      list.length > 1
        ? [surfaces(list)]
        : [
            surfaces(list),
            ...known
              .family(list[0]?.surface ?? "")
              .filter((entry) => isPlural(entry.surface, list[0]?.surface ?? ""))
              .map((entry) => [entry.surface]),
          ],
    ),
    brands: brandsOf(known, words),
    variants,
  };
}

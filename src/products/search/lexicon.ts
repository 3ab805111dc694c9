/** What is known of the words of the index, and what a word may be meant as. */
import type { ByteCache } from "./cache";
import { distance, mistakesIn, neighbourhood } from "./distance";
import { stemOf } from "./text";

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
  /** Words that a word may be a mistyping of, the nearest and then the most frequent first. */
  corrections(surface: string): Promise<Correction[]>;
}

export interface Correction {
  entry: LexiconEntry;
  mistakes: number;
}

/** Most words that are taken for a mistyped one. */
const MOST_CORRECTIONS = 4;

/**
 * Words that a word may be a mistyping of.
 * @param near gives the words that some product is named with whose neighbourhood holds one of these, the most frequent
 * first
 */
export async function correctionsOf(
  surface: string,
  near: (members: string[]) => Promise<LexiconEntry[]>,
): Promise<Correction[]> {
  const most = mistakesIn(surface);
  if (most === 0) return [];
  const found: Correction[] = [];
  for (const entry of await near(neighbourhood(surface, most))) {
    if (entry.surface === surface || stemOf(entry.surface) === stemOf(surface)) continue;
    // The shorter of the two says how many mistakes it bears.
    const allowed = Math.min(most, Math.max(1, mistakesIn(entry.surface)));
    const mistakes = distance(surface, entry.surface, allowed);
    if (mistakes <= allowed) found.push({ entry, mistakes });
  }
  const rank = ({ entry, mistakes }: Correction) =>
    mistakes * 4 - Math.log10(1 + entry.count) - (entry.surface[0] === surface[0] ? 1 : 0);
  return found
    .sort((a, b) => rank(a) - rank(b) || (a.entry.surface < b.entry.surface ? -1 : 1))
    .slice(0, MOST_CORRECTIONS);
}

/** Memory that an entry takes, about, in bytes. */
const ENTRY = 150;

/** A lexicon that keeps what it was asked for in memory, under the version of the words. */
export function remembered(lexicon: Lexicon, cache: ByteCache, version: number): Lexicon {
  const through = async <T extends unknown[]>(name: string, read: () => Promise<T>): Promise<T> => {
    const key = `${version} ${name}`;
    const known = cache.get<T>(key);
    if (known !== undefined) return known;
    const list = await read();
    return cache.set(key, list, key.length + 50 + list.length * ENTRY);
  };
  return {
    async find(surfaces, stems) {
      const wordKey = (surface: string) => `${version} =${surface}`;
      const stemKey = (stem: string) => `${version} ~${stem}`;
      const known = (keys: string[]) => keys.flatMap((key) => cache.get<LexiconEntry[]>(key) ?? []);
      const newWords = surfaces.filter((surface) => cache.get(wordKey(surface)) === undefined);
      const newStems = stems.filter((stem) => cache.get(stemKey(stem)) === undefined);
      const old = [
        ...known(surfaces.filter((one) => !newWords.includes(one)).map(wordKey)),
        ...known(stems.filter((one) => !newStems.includes(one)).map(stemKey)),
      ];
      if (newWords.length + newStems.length === 0) return old;
      const read = await lexicon.find(newWords, newStems);
      const keep = (key: string, list: LexiconEntry[]) =>
        cache.set(key, list, key.length + 50 + list.length * ENTRY);
      for (const surface of newWords)
        keep(
          wordKey(surface),
          read.filter((entry) => entry.surface === surface),
        );
      for (const stem of newStems)
        keep(
          stemKey(stem),
          read.filter((entry) => !entry.made && stemOf(entry.surface) === stem),
        );
      return [...old, ...read];
    },
    startingWith: (prefix, limit, made) =>
      through(`${made ? "+" : ">"}${limit} ${prefix}`, () => lexicon.startingWith(prefix, limit, made)),
    corrections: (surface) => through(`?${surface}`, () => lexicon.corrections(surface)),
  };
}

/** Most words of one stem. */
const MOST_OF_STEM = 6;

/** The words that one query needs, each read once. */
export class KnownWords {
  readonly #known = new Map<string, LexiconEntry>();
  readonly #stems = new Map<string, LexiconEntry[]>();

  constructor(readonly lexicon: Lexicon) {}

  /** Reads words and the other words of their stems. */
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
}

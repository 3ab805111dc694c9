/** What is known of the words of the index, and what a word may be meant as. */
import { ByteCache } from "./cache";
import { distance, mistakesIn, neighbourhood } from "./distance";
import type { WordChanges } from "./model";
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

/** Words are looked up by beginnings of at least so many characters. */
export const SHORTEST = 2;

/** What is kept is under the kind of question and what was asked for. */
const keys = {
  word: (surface: string) => `=${surface}`,
  stem: (stem: string) => `~${stem}`,
  beginning: (prefix: string, limit: number, made: boolean) => `${made ? "+" : ">"}${prefix} ${limit}`,
  corrections: (surface: string) => `?${surface}`,
};

/** Whether an added word may be an answer to what is kept under a key. */
function mayAnswer(word: string, key: string): boolean {
  const asked = key.slice(1);
  if (key[0] === "?") return distance(word, asked, mistakesIn(asked)) <= mistakesIn(asked);
  // Told of by its first characters alone: whatever follows decides which words of them are the most frequent.
  const beginning = [...asked].slice(0, SHORTEST).join("");
  return (key[0] === ">" || key[0] === "+") && word.startsWith(beginning);
}

/** Words of the index in memory, with what they may be meant as. What is given out is never older than the head. */
export class WordCache {
  readonly #cache: ByteCache;
  #at: WordChanges = { version: -1, additions: 0, added: [] };

  /** @param bytes about how much memory they may take */
  constructor(bytes: number) {
    this.#cache = new ByteCache(bytes);
  }

  /** Forgets what has changed: after added words what these may answer, after any other change everything. */
  advance(to: WordChanges): void {
    const { version, additions } = this.#at;
    // An older answer may come later.
    if (to.version <= version) return;
    const count = to.additions - additions;
    this.#at = to;
    // A release that does not name words raises the version alone.
    if (to.version - version !== count || count > to.added.length) {
      this.#cache.keepOnly(() => false);
      return;
    }
    const added = to.added.slice(-count);
    for (const { word } of added) {
      this.#cache.delete(keys.word(word));
      this.#cache.delete(keys.stem(stemOf(word)));
    }
    const lookedUp = added.filter((one) => one.lookedUp);
    if (lookedUp.length === 0) return;
    this.#cache.keepOnly((key) => !lookedUp.some(({ word }) => mayAnswer(word, key)));
  }

  /** A lexicon that answers from memory what it can. @param version of the words that the caller saw */
  over(lexicon: Lexicon, version: number): Lexicon {
    const cache = this.#cache;
    const keep = <T extends unknown[]>(key: string, list: T): T =>
      // What was read meanwhile may be older than a change that the cache knows of.
      version === this.#at.version ? cache.set(key, list, key.length + 50 + list.length * ENTRY) : list;
    const through = async <T extends unknown[]>(key: string, read: () => Promise<T>): Promise<T> =>
      cache.get<T>(key) ?? keep(key, await read());
    return {
      async find(surfaces, stems) {
        const all = [...surfaces.map(keys.word), ...stems.map(keys.stem)];
        const old = all.flatMap((key) => cache.get<LexiconEntry[]>(key) ?? []);
        const newWords = surfaces.filter((surface) => cache.get(keys.word(surface)) === undefined);
        const newStems = stems.filter((stem) => cache.get(keys.stem(stem)) === undefined);
        if (newWords.length + newStems.length === 0) return old;
        const read = await lexicon.find(newWords, newStems);
        for (const surface of newWords)
          keep(
            keys.word(surface),
            read.filter((entry) => entry.surface === surface),
          );
        for (const stem of newStems)
          keep(
            keys.stem(stem),
            read.filter((entry) => !entry.made && stemOf(entry.surface) === stem),
          );
        return [...old, ...read];
      },
      startingWith: (prefix, limit, made) =>
        through(keys.beginning(prefix, limit, made), () => lexicon.startingWith(prefix, limit, made)),
      corrections: (surface) => through(keys.corrections(surface), () => lexicon.corrections(surface)),
    };
  }
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

/** What is known of the words of the index, and what a word may be meant as. */
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
  /** Those that some product is named with whose neighbourhood holds one of these, the most frequent first. */
  near(members: string[], limit: number): Promise<LexiconEntry[]>;
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

/** From a product to what is indexed of it: its terms with weights and places, and what kind of thing it is. */
import { joined, STOP_WORDS, stemOf, type Word, wordsOf } from "./text";

/** What of a product is searched. */
export interface SearchableText {
  name: string;
  brand: string | null;
  skus: string[];
  gtins: string[];
  options: string[];
  /** Values of attributes with their units, keys in front. */
  attributes: string[];
  /** Names of the categories that the product is in itself. */
  categories: string[];
  /** Names of the categories above them. */
  ancestors: string[];
  description: string;
}

/** What is known of a term as a word, from one product. */
export interface WordUse {
  /** Two neighbours written as one, or a brand: nothing that anybody wrote. */
  made: boolean;
  /** It stands elsewhere than in the description. */
  named: boolean;
  /** It stands in the name right behind a number or a mix ("plus" of "7 plus"). */
  behindNumber: boolean;
}

/** A term in one product. */
export interface TermEntry {
  term: string;
  /** How much the product is about it, over all fields: a byte, see `IMPACT_STEPS`. */
  impact: number;
  /** Where it stands; fields lie far apart. Ascending. */
  places: number[];
}

export interface AnalysedProduct {
  terms: (TermEntry & WordUse)[];
  /** The stem of the thing that the name says it is ("case" of "leather case for …"); empty when there is none. */
  head: string;
  /** The name says what it is for ("… for iPhone 7"). */
  targeted: boolean;
}

/** Steps of an impact in one unit of weight. */
export const IMPACT_STEPS = 8;

/** Weight of one occurrence in each field, and how strongly longer fields count less (the b of BM25). */
const FIELDS = {
  name: { weight: 6, usual: 8, b: 0.3 },
  target: { weight: 2, usual: 5, b: 0.2 },
  aside: { weight: 2.5, usual: 3, b: 0.1 },
  brand: { weight: 4, usual: 2, b: 0 },
  code: { weight: 8, usual: 1, b: 0 },
  option: { weight: 2.5, usual: 4, b: 0.2 },
  attribute: { weight: 2, usual: 6, b: 0.2 },
  category: { weight: 2.5, usual: 3, b: 0.2 },
  ancestor: { weight: 0.8, usual: 4, b: 0.2 },
  description: { weight: 0.6, usual: 40, b: 0.5 },
} as const;

type Field = keyof typeof FIELDS;

const HAS_DIGIT = /\p{N}/u;

/** Places between two fields, so that no phrase goes over their border. */
const GAP = 20;
/** Most places that are kept of one term. */
const MOST_PLACES = 24;
/** Most words of a description that are read. */
const MOST_WORDS = 2000;

/** Prepositions behind which a name says what the thing goes with, and no longer what it is. */
const FOR = new Set("for fits compatible für passend pour para per voor till til för".split(" "));
/** Where a part of a name ends: a dash between spaces, a bar, a colon. */
const PART_END = /\s[-–—|:]\s|\s\|\s/u;
/** What stands in brackets is said by the way. */
const BRACKETS = /[([（【]/u;

interface NameParts {
  /** What the thing is. */
  main: Word[][];
  /** What it is for. */
  target: Word[];
  /** Colours, carriers and the like: in brackets, or behind the last dash. */
  aside: Word[];
  targeted: boolean;
}

/** Takes a name apart. Of several parts the longest says what the thing is ("Brand - Thing for Other - Colour"). */
function partsOfName(name: string): NameParts {
  const parts: NameParts = { main: [], target: [], aside: [], targeted: false };
  const pieces = name.split(PART_END).filter((piece) => piece.trim() !== "");
  const lengths = pieces.map((piece) => wordsOf(piece).length);
  const title = lengths.lastIndexOf(Math.max(...lengths));
  for (const [index, piece] of pieces.entries()) {
    const bracket = piece.search(BRACKETS);
    const plain = bracket > 0 ? piece.slice(0, bracket) : piece;
    if (bracket > 0) parts.aside.push(...wordsOf(piece.slice(bracket)));
    const words = wordsOf(plain);
    if (index > title) {
      parts.aside.push(...words);
      continue;
    }
    const at = words.findIndex(({ surface }, place) => place > 0 && FOR.has(surface));
    if (at > 0) {
      parts.target.push(...words.slice(at));
      parts.targeted = true;
    }
    parts.main[index === title ? 0 : parts.main.length + 1] = at > 0 ? words.slice(0, at) : words;
  }
  parts.main = parts.main.filter(Boolean);
  return parts;
}

/** The term of a brand as a whole, which no word is like. */
export const brandTerm = (words: Pick<Word, "surface">[]): string =>
  `=${words.map(({ surface }) => surface).join(" ")}`;

/** What is gathered of a term: one object for each, since an import makes a hundred of them for each product. */
interface Gathered extends WordUse {
  weight: number;
  places: number[];
}

class Collector {
  readonly found = new Map<string, Gathered>();
  #place = 0;

  /** @param made whether nobody wrote it so; what somebody did write anywhere is not */
  #add(term: string, weight: number, place: number, made: boolean): Gathered {
    const entry = this.found.get(term);
    if (!entry) {
      const first = { weight, places: [place], made, named: false, behindNumber: false };
      this.found.set(term, first);
      return first;
    }
    entry.weight += weight;
    if (!made) entry.made = false;
    if (entry.places.at(-1) !== place && entry.places.length < MOST_PLACES) entry.places.push(place);
    return entry;
  }

  /** A term that no text can hold. */
  mark(term: string): void {
    this.#add(term, 1, this.#place, true);
  }

  /** @param joins whether neighbours are found written as one, too */
  add(field: Field, words: Word[], joins: boolean): void {
    const { weight, usual, b } = FIELDS[field];
    const each = weight / (1 - b + (b * words.length) / usual);
    const named = field !== "description";
    let before: string | undefined;
    for (const word of words) {
      const place = this.#place++;
      const isStop = STOP_WORDS.has(word.surface);
      if (isStop && !named) continue;
      const canJoin = joins && !isStop && !word.pair;
      const left = canJoin ? before : undefined;
      if (left) this.#add(joined(left, word.surface), each, place - 1, true);
      const entry = this.#add(word.surface, each, place, false);
      if (named) entry.named = true;
      if (left && HAS_DIGIT.test(left) && !HAS_DIGIT.test(word.surface)) entry.behindNumber = true;
      for (const part of word.parts) {
        const ofPart = this.#add(part, each / 2, place, false);
        if (named) ofPart.named = true;
      }
      before = canJoin ? word.surface : undefined;
    }
    this.#place += GAP;
  }
}

/** The stem of what a thing is: the last word of its name's main part that is no number. */
const headOf = (words: Word[]): string =>
  stemOf(
    words.findLast(({ surface }) => !HAS_DIGIT.test(surface) && !STOP_WORDS.has(surface))?.surface ?? "",
  );

/** What is indexed of a product. */
export function analyse(text: SearchableText): AnalysedProduct {
  const collector = new Collector();
  const name = partsOfName(text.name);
  for (const words of name.main) collector.add("name", words, true);
  collector.add("target", name.target, true);
  collector.add("aside", name.aside, true);
  if (text.brand !== null) {
    collector.add("brand", wordsOf(text.brand), true);
    collector.mark(brandTerm(wordsOf(text.brand)));
  }
  // A whole code is found by itself, however it is separated: joins of its parts would be as many words as variants.
  for (const code of [...text.skus, ...text.gtins]) collector.add("code", wordsOf(code), false);
  for (const option of text.options) collector.add("option", wordsOf(option), true);
  for (const attribute of text.attributes) collector.add("attribute", wordsOf(attribute), true);
  for (const category of text.categories) collector.add("category", wordsOf(category), true);
  for (const category of text.ancestors) collector.add("ancestor", wordsOf(category), false);
  collector.add("description", wordsOf(text.description).slice(0, MOST_WORDS), false);
  const terms: AnalysedProduct["terms"] = [];
  for (const [term, { weight, places, made, named, behindNumber }] of collector.found) {
    const impact = Math.max(1, Math.min(255, Math.round(weight * IMPACT_STEPS)));
    terms.push({ term, impact, places, made, named, behindNumber });
  }
  return { terms, head: headOf(name.main[0] ?? []), targeted: name.targeted };
}

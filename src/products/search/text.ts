/**
 * From text to terms. Indexing and searching go through the same functions, so that both see one text alike:
 * runs of letters and digits, folded (case, width, accents), with the forms that people type instead of each other
 * ("iphone7" and "iphone 7", "10,000 mAh" and "10000mAh", "micro usb" and "microusb").
 */
import { stemmer } from "stemmer";
import { searchKey } from "../../lib/text";

/** Where scripts are written without spaces: such runs are cut into pairs of characters, as Lucene's CJK analysis does. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu;

/**
 * A number with separators ("10,000mAh", "3.5mm"), or a run of letters and digits with the apostrophes inside it.
 * Each alternative is bounded by the classes before and behind it, so that no input makes it go back and forth.
 */
const RUN =
  /\p{N}{1,3}(?:,\p{N}{3})+(?![\p{N},])[\p{L}\p{M}]*|\p{N}+\.\p{N}+[\p{L}\p{M}]*|[\p{L}\p{N}\p{M}]+(?:['’][\p{L}\p{M}]+)*/gu;

/** Most characters of a term; what is longer is cut, in the index and in a query alike. */
const MAX_TERM = 40;

/** Words that say little by themselves: looked for only when a query has no others. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  "a an and are as at be but by for from in into is it its of on or our so such that the their then there these they this to was we will with you your der die das und mit für von le la les et de du des pour avec el los las y para con".split(
    " ",
  ),
);

/** One word of a text. */
export interface Word {
  /** Folded, as it is written. */
  surface: string;
  /** The parts of a mix of letters and digits ("32gb": "32", "gb"); empty otherwise. */
  parts: readonly string[];
  /** Cut from a script without spaces. */
  pair: boolean;
  /** Where it stands in the text, in UTF-16 units. */
  start: number;
  end: number;
}

const HAS_DIGIT = /\p{N}/u;
const HAS_LETTER = /\p{L}/u;
const LATIN = /^[a-z]+$/;

/** The stem of a folded word; words of other scripts and mixes with digits are their own stems. */
export function stemOf(surface: string): string {
  return LATIN.test(surface) ? stemmer(surface) : surface;
}

/** Letters and digits of a mix, each run by itself: "kr5100b" gives "kr", "5100", "b". */
export const runsOf = (surface: string): string[] => surface.match(/\p{N}+(?:\.\p{N}+)?|[^\p{N}]+/gu) ?? [];

/** Of nearly every word, and one list for all of them: an import makes words by the million. */
const NO_PARTS: readonly string[] = [];

/** The parts of a mix that are worth finding it by: a letter by itself is not ("s7" is no "s"). */
function partsOf(surface: string): readonly string[] {
  if (!HAS_DIGIT.test(surface) || !HAS_LETTER.test(surface)) return NO_PARTS;
  const runs = runsOf(surface);
  return runs.length === 2 && runs.every((run) => HAS_DIGIT.test(run) || run.length > 1) ? runs : NO_PARTS;
}

/** Cuts a run of a script without spaces into pairs of characters that overlap. */
function pairsOf(run: string, start: number): Word[] {
  const characters = [...run.matchAll(/[^\p{M}]\p{M}*|\p{M}+/gu)];
  const words: Word[] = [];
  for (let index = 0; index < Math.max(1, characters.length - 1); index++) {
    const first = characters[index];
    const last = characters[index + 1] ?? first;
    if (!first || !last) break;
    const from = first.index;
    const to = last.index + last[0].length;
    const surface = searchKey(run.slice(from, to));
    if (surface !== "")
      words.push({ surface, parts: NO_PARTS, pair: true, start: start + from, end: start + to });
  }
  return words;
}

/** Most words: the longer way would find the same. */
const SIMPLE = /^[A-Za-z0-9]{1,40}$/;

function wordOf(raw: string, start: number): Word | undefined {
  if (SIMPLE.test(raw)) {
    const surface = raw.toLowerCase();
    return { surface, parts: partsOf(surface), pair: false, start, end: start + raw.length };
  }
  const bare = /^\p{N}/u.test(raw)
    ? raw.replaceAll(",", "")
    : raw.replace(/['’]s$/iu, "").replace(/['’]/gu, "");
  // Two forms of one letter may fold to what a run does not hold (½ to 1⁄2): letters and digits alone are kept.
  const surface = [...searchKey(bare).replace(/[^\p{L}\p{N}\p{M}.]+/gu, "")].slice(0, MAX_TERM).join("");
  if (surface === "") return undefined;
  return { surface, parts: partsOf(surface), pair: false, start, end: start + raw.length };
}

/**
 * The words of a text in their order.
 * @example wordsOf("3' Micro-USB cables") // surfaces "3", "micro", "usb", "cables"
 */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const { 0: run, index } of text.toWellFormed().matchAll(RUN)) {
    if (SIMPLE.test(run)) {
      words.push(wordOf(run, index) as Word);
      continue;
    }
    let last = 0;
    for (const unspaced of run.matchAll(UNSPACED)) {
      const before = run.slice(last, unspaced.index);
      const word = before === "" ? undefined : wordOf(before, index + last);
      if (word) words.push(word);
      words.push(...pairsOf(unspaced[0], index + unspaced.index));
      last = unspaced.index + unspaced[0].length;
    }
    const word = last === run.length ? undefined : wordOf(run.slice(last), index + last);
    if (word) words.push(word);
  }
  return words;
}

/** Two neighbours written as one ("micro usb" as "microusb"). */
export const joined = (left: string, right: string): string =>
  left.length + right.length <= MAX_TERM ? left + right : [...(left + right)].slice(0, MAX_TERM).join("");

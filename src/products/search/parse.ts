/** Takes apart what a person typed. */
import { type Word, wordsOf } from "./text";

/** Most words of a query that are looked for, so that no text makes a search long. */
export const MOST_WORDS = 16;

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

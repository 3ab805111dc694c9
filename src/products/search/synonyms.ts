/** Terms that stand for each other. */
import type { Synonym, Synonyms } from "./plan";
import { wordsOf } from "./text";

/** Whoever searches for one of `from` finds `to` as well. */
export interface SynonymSet {
  from: string[];
  to: string[];
}

/** What shops and their customers use for each other in English, whatever is sold. A shop adds its own. */
const GROUPS: string[] = [
  "cell phone, cellphone, cellular phone, mobile phone, smartphone, smart phone, handset",
  "tv, television",
  "laptop, notebook computer",
  "fridge, refrigerator",
  "couch, sofa",
  "earbuds, earphones, headphones, headset",
  "power bank, powerbank, portable charger, external battery",
  "memory card, sd card, flash card",
  "usb stick, flash drive, thumb drive",
  "vacuum cleaner, hoover",
  "trousers, pants",
  "sneakers, trainers, running shoes",
  "jumper, sweater, pullover",
  "t-shirt, tee",
  "trash can, dustbin, garbage can",
  "stroller, pushchair, buggy",
  "diaper, nappy",
  "torch, flashlight",
  "car, vehicle, automobile",
  "bicycle, bike",
  "mount, holder, cradle",
  "strap, band",
  "cover, case",
  "refurbished, renewed, reconditioned",
  "wifi, wi-fi, wireless lan",
  "auto, automatic",
];
export const ENGLISH: SynonymSet[] = GROUPS.map((group) => group.split(", ")).map((terms) => ({
  from: terms,
  to: terms,
}));

/** Most synonyms that one query is widened by. */
const MOST = 64;

/** Makes sets quick to look up: by the first word of each term, which a query may have in its plural. */
export function compileSynonyms(sets: SynonymSet[]): Synonyms {
  const byFirst = new Map<string, { words: string[]; to: Set<string> }[]>();
  for (const { from, to } of sets) {
    const forms = to.map((term) => wordsOf(term).map(({ surface }) => surface));
    for (const term of from) {
      const words = wordsOf(term).map(({ surface }) => surface);
      const [first] = words;
      if (first === undefined) continue;
      const others = forms.filter((form) => form.join(" ") !== words.join(" "));
      const entry = { words, to: new Set(others.map((form) => form.join(" "))) };
      for (const key of [first, `${first}s`]) byFirst.set(key, [...(byFirst.get(key) ?? []), entry]);
    }
  }
  return (words) => {
    const found: Synonym[] = [];
    for (const [from, word] of words.entries()) {
      for (const { words: term, to } of byFirst.get(word) ?? []) {
        const fits = term.every((part, n) => words[from + n] === part || words[from + n] === `${part}s`);
        if (fits) for (const other of to) found.push({ from, length: term.length, to: other });
      }
    }
    return found.slice(0, MOST);
  };
}

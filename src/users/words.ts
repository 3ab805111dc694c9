import { domainToASCII, domainToUnicode } from "node:url";
import { canonicalKey, searchKey } from "../lib/text";

/** Grows when words are made in another way: those of every person are then made anew. */
export const WORDS_FORM = 1;

/** Longest word that is kept, in code units; a search looks at no more of what it is asked for. */
const MAX_WORD = 64;
/** Most words of one person. */
const MAX_WORDS = 300;

/**
 * Where a word begins: at a letter or digit behind none, at each sign such as an emoji, and at each letter of scripts
 * that put no spaces between words.
 */
const BEGINNING =
  /(?<![\p{L}\p{M}\p{N}])[\p{L}\p{N}]|\p{S}|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu;

const cut = (text: string): string => text.slice(0, MAX_WORD).replace(/[\ud800-\udbff]$/, "");

/** Parts between spaces, in the form in which they are compared: without case, accents and what shows nothing. */
const partsOf = (text: string): string[] =>
  searchKey(text.normalize("NFC"))
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .split(/[\p{Z}\p{Cc}]+/u)
    .filter((part) => part !== "");

/** A part as it is, and from each of its words on: `o'brien` and `brien`. */
const wordsIn = (part: string): string[] => [
  part,
  ...[...part.matchAll(BEGINNING)].map(({ index }) => part.slice(index)),
];

/**
 * What a person is found by: the beginning of each of these. An address is found whole, from each of its words on, by
 * its domain (`@example.com`, `example.com`), and by a domain of another script in both of its spellings.
 * @example wordsOf("Ann O'Brien", "ann@shop.example") // ann, o'brien, brien, ann@shop.example, @shop.example, …
 */
export function wordsOf(name: string, email: string): string[] {
  const at = email.lastIndexOf("@");
  const [local, domain] = [email.slice(0, at), email.slice(at + 1)];
  const addresses = [...new Set([domain, domainToASCII(domain), domainToUnicode(domain)])].flatMap(
    (spelling) => [canonicalKey(`${local}@${spelling}`), canonicalKey(`@${spelling}`)],
  );
  const words = [...partsOf(name), ...addresses, ...addresses.flatMap(partsOf)].flatMap(wordsIn).map(cut);
  return [...new Set(words)].slice(0, MAX_WORDS);
}

/** What a search asks for, each the beginning of a word; the longest, which fewest people have, first. */
export const termsOf = (query: string): string[] =>
  [...new Set(partsOf(query).map((part) => cut(part.replace(/(?<=.)[,;]+$/, ""))))].sort(
    (a, b) => b.length - a.length,
  );

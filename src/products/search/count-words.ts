/** Counts the words of search documents. */
import type { WordUse } from "./analyse";
import { eachWord } from "./document";
import type { ReadDocument } from "./documents.store";

/** Words by themselves, with how they are used. */
export type WordUses = Map<string, WordUse>;

/** Counts of words over some documents. */
export type WordCounts = Map<string, WordUse & { count: number; namedCount: number; behindCount: number }>;

/** Counts the words of a document that products are named with, and that were put together from them. */
export function countWords(counts: WordCounts, document: ReadDocument, all: boolean): void {
  eachWord(document, (surface, made, named, behindNumber) => {
    if (!all && !named && !made) return;
    let entry = counts.get(surface);
    if (!entry) {
      entry = { made, named, behindNumber, count: 0, namedCount: 0, behindCount: 0 };
      counts.set(surface, entry);
    }
    entry.count++;
    entry.made &&= made;
    if (named) entry.namedCount++;
    if (behindNumber) entry.behindCount++;
  });
}

/** Adds a use of a word to what is known of it. */
function addUse(uses: WordUses, surface: string, made: boolean, named: boolean, behindNumber: boolean): void {
  const use = uses.get(surface);
  if (use) {
    use.made &&= made;
    use.named ||= named;
    use.behindNumber ||= behindNumber;
  } else uses.set(surface, { made, named, behindNumber });
}

/** The words of documents, each once. */
export function usesOf(documents: { terms: string[]; packed: Uint8Array }[]): WordUses {
  const uses: WordUses = new Map();
  for (const document of documents) {
    eachWord(document, (surface, made, named, behindNumber) =>
      addUse(uses, surface, made, named, behindNumber),
    );
  }
  return uses;
}

/** The words of several, each once. */
export function mergedUses(several: WordUses[]): WordUses {
  const [first, ...others] = several;
  if (first && others.length === 0) return first;
  const all: WordUses = new Map();
  for (const uses of several)
    for (const [surface, { made, named, behindNumber }] of uses)
      addUse(all, surface, made, named, behindNumber);
  return all;
}

/** Counts the words of search documents. */
import { unpack, type WordUse } from "./document";
import type { ReadDocument } from "./documents.store";

/** Counts of words over some documents. */
export type WordCounts = Map<string, WordUse & { count: number; namedCount: number; behindCount: number }>;

/** Counts the words of a document that products are named with, and that were put together from them. */
export function countWords(counts: WordCounts, document: ReadDocument, all: boolean): void {
  for (const { surface, made, named, behindNumber } of unpack(document)) {
    if (!all && !named && !made) continue;
    let entry = counts.get(surface);
    if (!entry) {
      entry = { surface, made, named, behindNumber, count: 0, namedCount: 0, behindCount: 0 };
      counts.set(surface, entry);
    }
    entry.count++;
    entry.made &&= made;
    if (named) entry.namedCount++;
    if (behindNumber) entry.behindCount++;
  }
}

/** Adds one use of a word to what is known of it. */
export function mergeUse(uses: Map<string, WordUse>, { surface, made, named, behindNumber }: WordUse): void {
  const use = uses.get(surface);
  uses.set(surface, {
    surface,
    made: made && (use?.made ?? true),
    named: named || use?.named === true,
    behindNumber: behindNumber || use?.behindNumber === true,
  });
}

/** The words of documents, each once. */
export function usesOf(documents: { terms: string[]; packed: Uint8Array }[]): Map<string, WordUse> {
  const uses = new Map<string, WordUse>();
  for (const document of documents) {
    for (const use of unpack(document)) mergeUse(uses, use);
  }
  return uses;
}

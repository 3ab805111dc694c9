/** Ways to go on from what was typed so far: every one of them finds something. */
import { type ReadSegment, tieOf } from "./builder";
import { ByteCache } from "./cache";
import type { Suggestions } from "./engine";
import { eachCounted } from "./facets";
import { orderOf, TopHits } from "./order";
import { parseQuery } from "./parse";
import { type Plan, planOf } from "./plan";
import { type IndexReader, ordinalsOf, type Seen } from "./reader";
import { scoresOf, termsOf, type Weights, weightsOf } from "./score";
import { wordsOf } from "./text";

/** Whether each word that was typed begins a word of a name. */
const begins = (typed: string[], name: string): boolean => {
  const words = wordsOf(name).map(({ surface }) => surface);
  return typed.every((part) => words.some((word) => word.startsWith(part)));
};

/** Memory for suggestions that were made, in bytes. */
const KEPT = 2 ** 20;
/** Changed products up to which suggestions are kept: with many, the next change comes sooner than the same text. */
const FEW_CHANGED = 100;

/**
 * Makes suggestions. What begins alike is typed again and again, so they are kept as long as the index is the same.
 * @returns a function that takes a text, the most of each kind, and the ids of products that are left out
 */
export function suggester(
  reader: IndexReader,
): (text: string, limit: number, without: string[]) => Promise<Suggestions> {
  const kept = new ByteCache(KEPT);
  return async (text, limit, without) => {
    const seen = await reader.look();
    const { manifest, words, changed } = seen;
    if (changed.length > FEW_CHANGED) return suggestFrom(reader, seen, text, limit, without);
    const stamps = changed.map(({ stamp }) => stamp);
    const key = JSON.stringify([text, limit, without, manifest.epoch, words.version, stamps]);
    const known = kept.get<Suggestions>(key);
    if (known) return known;
    const made = await suggestFrom(reader, seen, text, limit, without);
    return kept.set(key, made, 2 * (key.length + JSON.stringify(made).length));
  };
}

/** Takes the best of a segment into `top`, and counts all that are found of each brand and tree of categories. */
function countIn(segment: ReadSegment, plan: Plan, weights: Weights, away: number[], top: TopHits) {
  const { columns, hidden } = segment;
  const { ordinals, scores } = scoresOf(segment, plan, weights, "exact");
  for (const ordinal of ordinalsOf(segment, away)) scores[ordinal] = 0;
  const byBrand = new Uint32Array(columns.brands.length + 1);
  const byTree = new Uint32Array(columns.trees.length);
  for (let n = 0; n < ordinals.length; n++) {
    const ordinal = ordinals[n] as number;
    if (hidden[ordinal] === 1) scores[ordinal] = 0;
    const score = scores[ordinal] as number;
    if (score === 0) continue;
    const brand = columns.brand[ordinal] as number;
    const tree = columns.tree[ordinal] as number;
    byBrand[brand] = (byBrand[brand] as number) + 1;
    byTree[tree] = (byTree[tree] as number) + 1;
    if (top.refuses(score)) continue;
    top.add({
      segment,
      ordinal,
      keys: [score, columns.popularity[ordinal] as number, columns.tie[ordinal] as number],
    });
  }
  return { scores, byBrand, byTree };
}

async function suggestFrom(
  reader: IndexReader,
  seen: Seen,
  text: string,
  limit: number,
  without: string[],
): Promise<Suggestions> {
  const nothing: Suggestions = { queries: [], products: [], brands: [], categories: [] };
  const parsed = parseQuery(text);
  const plan = await planOf({ ...parsed, open: true }, reader.lexicon(seen), () => [], {
    spare: false,
    finish: true,
  });
  const last = plan.slots.at(-1);
  if (!last) return nothing;
  const opened = await reader.open(seen, termsOf(plan), ["rank", "labels"], []);
  const away = without.map(tieOf);
  const weights = weightsOf(plan, opened.segments);
  const top = new TopHits(limit, orderOf(undefined));
  const brands = new Map<string, { name: string; count: number }>();
  const categories = new Map<string, number>();
  const completions = new Map<string, number>();
  for (const segment of opened.segments) {
    const { columns } = segment;
    const { scores, byBrand, byTree } = countIn(segment, plan, weights, away, top);
    eachCounted(byBrand, (place, count) => {
      // 0 stands for no brand.
      if (place === 0) return;
      const [key, name] = columns.brands[place - 1] as (typeof columns.brands)[number];
      brands.set(key, { name, count: (brands.get(key)?.count ?? 0) + count });
    });
    eachCounted(byTree, (place, count) => {
      for (const id of columns.trees[place] as string[])
        categories.set(id, (categories.get(id) ?? 0) + count);
    });
    for (const { terms } of last.alternatives) {
      const term = terms.length === 1 ? (terms[0] as string) : "";
      if (!term.startsWith(last.surface)) continue;
      const own = segment.postings(term)?.ordinals;
      let count = 0;
      for (let n = 0; own !== undefined && n < own.length; n++)
        if ((scores[own[n] as number] as number) > 0) count++;
      if (count > 0) completions.set(term, (completions.get(term) ?? 0) + count);
    }
  }
  const before = plan.slots.slice(0, -1).map(({ surface }) => surface);
  const most = <T>(entries: [T, number][]): T[] =>
    entries.sort((a, b) => b[1] - a[1]).map(([entry]) => entry);
  const typed = plan.slots.map(({ surface }) => surface);
  return {
    queries: most([...completions])
      .slice(0, limit)
      .map((word) => [...before, word].join(" ")),
    products: await opened.idsOf(top.hits),
    brands: most([...brands].map(([value, { name, count }]) => [{ value, name }, count]))
      .filter(({ name }) => begins(typed.slice(-1), name))
      .slice(0, limit),
    categories: most([...categories]),
  };
}

/** Ways to go on from what was typed so far: every one of them finds something. */
import { tieOf } from "./builder";
import type { Suggestions } from "./engine";
import { TopHits } from "./order";
import { parseQuery } from "./parse";
import { planOf } from "./plan";
import { type IndexReader, ordinalsOf } from "./reader";
import { scoresOf, termsOf, weightsOf } from "./score";
import { wordsOf } from "./text";

const compare = (left: (number | string)[], right: (number | string)[]): number =>
  Number(right[0]) - Number(left[0]) ||
  Number(right[1]) - Number(left[1]) ||
  Number(left[2]) - Number(right[2]);

/** Whether each word that was typed begins a word of a name. */
const begins = (typed: string[], name: string): boolean => {
  const words = wordsOf(name).map(({ surface }) => surface);
  return typed.every((part) => words.some((word) => word.startsWith(part)));
};

/** @param limit most of each kind */
export async function suggestFrom(
  reader: IndexReader,
  text: string,
  limit: number,
  without: string[],
): Promise<Suggestions> {
  const nothing: Suggestions = { queries: [], products: [], brands: [], categories: [] };
  const parsed = parseQuery(text);
  const head = await reader.head();
  const plan = await planOf({ ...parsed, open: true }, reader.lexicon(head), () => [], {
    spare: false,
    finish: true,
  });
  const last = plan.slots.at(-1);
  if (!last) return nothing;
  const opened = await reader.open(head, termsOf(plan), ["rank", "labels"], []);
  const away = without.map(tieOf);
  const weights = weightsOf(plan, opened.segments);
  const top = new TopHits(limit, compare);
  const brands = new Map<string, { name: string; count: number }>();
  const categories = new Map<string, number>();
  const completions = new Map<string, number>();
  for (const segment of opened.segments) {
    const { columns, hidden } = segment;
    const { ordinals, scores } = scoresOf(segment, plan, weights, "exact");
    for (const ordinal of ordinalsOf(segment, away)) scores[ordinal] = 0;
    const byBrand = new Uint32Array(columns.brands.length + 1);
    const byTree = new Uint32Array(columns.trees.length);
    for (const ordinal of ordinals) {
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
    for (const [index, [key, name]] of columns.brands.entries()) {
      const count = byBrand[index + 1] as number;
      if (count > 0) brands.set(key, { name, count: (brands.get(key)?.count ?? 0) + count });
    }
    for (const [index, tree] of columns.trees.entries()) {
      const count = byTree[index] as number;
      if (count > 0) for (const id of tree) categories.set(id, (categories.get(id) ?? 0) + count);
    }
    for (const { terms } of last.alternatives) {
      const term = terms.length === 1 ? (terms[0] as string) : "";
      if (!term.startsWith(last.surface)) continue;
      let count = 0;
      for (const ordinal of segment.postings(term)?.ordinals ?? [])
        if ((scores[ordinal] as number) > 0) count++;
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

import type { Actor } from "../../lib/actor";
import { canonicalKey } from "../../lib/text";
import type { ProductDeps } from "../deps";
import { expandItems, fieldsFor } from "../items";
import type { SuggestQuery } from "./schema";

/** Ways to go on from what was typed so far. */
export async function completeQuery(
  deps: ProductDeps,
  actor: Actor | undefined,
  { q, limit, include }: SuggestQuery,
) {
  const { hidden = [] } = (await deps.curation.current()).ruleFor(q) ?? {};
  const found = await deps.search.suggest(q, limit, hidden);
  const typed = canonicalKey(q).split(/\s+/u).at(-1) ?? "";
  const [rows, categories] = await Promise.all([
    deps.products.activeOf(found.products, fieldsFor(include)),
    deps.categories.findByIds(found.categories),
  ]);
  return {
    queries: found.queries,
    products: await expandItems(deps, actor, rows, include),
    brands: found.brands,
    categories: found.categories
      .flatMap((id) => categories.get(id) ?? [])
      .filter(({ name }) =>
        canonicalKey(name)
          .split(/[^\p{L}\p{N}]+/u)
          .some((word) => word.startsWith(typed)),
      )
      .slice(0, limit)
      .map(({ _id, name, path }) => ({ id: _id, name, path })),
  };
}

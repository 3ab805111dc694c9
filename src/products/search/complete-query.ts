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
  // At the same time, since hardly any text has a rule that hides something.
  const [curation, all] = await Promise.all([deps.curation.current(), deps.search.suggest(q, limit, [])]);
  const { hidden = [] } = curation.ruleFor(q) ?? {};
  const found = hidden.length === 0 ? all : await deps.search.suggest(q, limit, hidden);
  const typed = canonicalKey(q).split(/\s+/u).at(-1) ?? "";
  const [rows, categories] = await Promise.all([
    deps.products.activeOf(found.products, fieldsFor(include)),
    curation.categories(found.categories),
  ]);
  return {
    queries: found.queries,
    products: await expandItems(deps, actor, rows, include),
    brands: found.brands,
    categories: found.categories
      .flatMap((id) => {
        const category = categories.get(id);
        return category ? [{ id, ...category }] : [];
      })
      .filter(({ name }) =>
        canonicalKey(name)
          .split(/[^\p{L}\p{N}]+/u)
          .some((word) => word.startsWith(typed)),
      )
      .slice(0, limit),
  };
}

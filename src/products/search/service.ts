import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { after, DAY } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { JsonValue } from "../../lib/json";
import { canonicalKey, cleanText } from "../../lib/text";
import { expandItems, fieldsFor } from "../items";
import { resolveFilter } from "../reads";
import type { ListedProduct } from "../store";
import type { Facets, SearchRequest } from "./engine";
import { markText } from "./highlight";
import type { FacetsResponse, FoundResponse, SearchQuery } from "./schema";
import { DEFAULT_SYNONYMS } from "./synonyms.en";

/** How long the pages of a search go on; and how long one that found nothing is remembered. */
const PAGED = DAY;
const UNANSWERED = 30 * DAY;

/** The filter by ids alone, where it names SKUs or GTINs. */
async function filterOf(deps: Deps, query: SearchQuery) {
  const filter = await resolveFilter(deps, query.filter);
  const { skus, gtins, ...rest } = filter;
  if (skus === undefined && gtins === undefined) return filter;
  return { ...rest, ids: await deps.products.idsOf(filter) };
}

/** Counts with the names of what is counted; a category that is gone meanwhile is left out. */
async function showFacets(deps: Deps, facets: Facets): Promise<FacetsResponse> {
  const categories = await deps.categories.findByIds(facets.category.map(({ value }) => value));
  return {
    ...facets,
    category: facets.category.flatMap(({ value, count }) => {
      const category = categories.get(value);
      return category ? [{ id: value, name: category.name, path: category.path, count }] : [];
    }),
  };
}

/** Where a cursor goes on, and what the engine kept for it. @throws AppError invalid_cursor */
async function positionOf(deps: Deps, cursor: string | undefined, scope: JsonValue) {
  if (cursor === undefined) return { id: deps.random.id(), after: null, state: null };
  const [id, ...keys] = deps.cursors.decode(cursor, scope);
  const query = await deps.searchQueries.find(String(id));
  if (query?.state === undefined) {
    throw new AppError("invalid_cursor", "The search was made too long ago. Start again without the cursor.");
  }
  return { id: String(id), after: keys, state: query.state };
}

/**
 * Active products that fit a text, with counts of what there is among them.
 * @throws AppError invalid_cursor
 */
export async function searchProducts(deps: Deps, actor: Actor | undefined, query: SearchQuery) {
  const { text, sort, limit, include } = query;
  const filter = await filterOf(deps, query);
  const scope = {
    list: "search",
    text,
    filter: { ...query.filter },
    sort: { ...sort },
  } as unknown as JsonValue;
  const { id, after: from, state } = await positionOf(deps, query.cursor, scope);
  const request: SearchRequest = {
    text,
    filter,
    sort,
    limit,
    after: from,
    state,
    facets: query.facets,
    synonyms: DEFAULT_SYNONYMS,
    pinned: [],
    hidden: [],
  };
  const result = await deps.search.search(request);
  const now = deps.clock.now();
  const { total, next } = result;
  const [rows, facets] = await Promise.all([
    deps.products.activeOf(result.ids, { ...fieldsFor(include), description: 1 }),
    result.facets && showFacets(deps, result.facets),
    state === null &&
      deps.searchQueries.record({
        _id: id,
        q: cleanText(text),
        at: now,
        total: total.value,
        expiresAt: after(now, total.value === 0 ? UNANSWERED : PAGED),
        ...(next === null ? {} : { state: result.state }),
      }),
  ]);
  const items = await expandItems(deps, actor, rows, include);
  const matched = new Set(result.matched);
  const data = items.map((item, index): FoundResponse => {
    const { description = "" } = rows[index] as ListedProduct & { description?: string };
    return {
      ...item,
      highlights: {
        name: markText(item.name, matched, true),
        description: markText(description, matched, false),
      },
    };
  });
  return {
    data,
    page: {
      hasMore: next !== null,
      nextCursor: next === null ? null : deps.cursors.encode([id, ...next], scope),
      ...(query.count ? { total } : {}),
    },
    ...(facets ? { facets } : {}),
    search: { id, didYouMean: result.corrected, redirect: null as string | null },
  };
}

/** Ways to go on from what was typed so far. */
export async function suggest(deps: Deps, { q, limit }: { q: string; limit: number }) {
  const found = await deps.search.suggest(q, limit);
  const typed = canonicalKey(q).split(/\s+/u).at(-1) ?? "";
  const [rows, categories] = await Promise.all([
    deps.products.activeOf(found.products, fieldsFor([])),
    deps.categories.findByIds(found.categories),
  ]);
  return {
    queries: found.queries,
    products: await expandItems(deps, undefined, rows, []),
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

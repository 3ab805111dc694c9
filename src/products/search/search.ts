import type { Actor } from "../../lib/actor";
import { after, DAY } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { JsonValue } from "../../lib/json";
import { pageEnd } from "../../lib/paging";
import { cleanText } from "../../lib/text";
import type { ProductDeps } from "../deps";
import { expandItems, fieldsFor } from "../items";
import { requireCurrency, resolveFilter } from "../reads";
import type { ListedProduct } from "../summary";
import { type CurrentCuration, ruleKeyOf } from "./curation/current";
import type { Facets } from "./engine";
import { markText } from "./highlight";
import type { FacetsResponse, FoundResponse, SearchQuery } from "./schema";

/** How long the pages of a search go on; and how long one that found nothing is remembered. */
const PAGED = DAY;
const UNANSWERED = 30 * DAY;

/** The filter by ids alone, where it names SKUs or GTINs. @throws AppError invalid_input without a currency */
async function filterOf(deps: ProductDeps, query: SearchQuery) {
  const filter = await resolveFilter(deps, query.filter);
  await requireCurrency(deps, filter, query.sort);
  const { skus, gtins, ...rest } = filter;
  if (skus === undefined && gtins === undefined) return filter;
  return { ...rest, ids: await deps.products.idsOf(filter) };
}

/** Counts with the names of what is counted; a category that is gone meanwhile is left out. */
async function showFacets({ categories: read }: CurrentCuration, facets: Facets): Promise<FacetsResponse> {
  const categories = await read(facets.category.map(({ value }) => value));
  return {
    ...facets,
    category: facets.category.flatMap(({ value, count }) => {
      const category = categories.get(value);
      return category ? [{ id: value, name: category.name, path: category.path, count }] : [];
    }),
  };
}

/** Where a cursor goes on, and what the engine kept for it. @throws AppError invalid_cursor */
async function positionOf(deps: ProductDeps, cursor: string | undefined, scope: JsonValue) {
  if (cursor === undefined) return { id: deps.random.id(), after: null, state: null };
  const [id, ...keys] = deps.cursors.decode(cursor, scope);
  const query = await deps.searchQueries.find(String(id));
  if (query?.state === undefined) {
    throw new AppError("invalid_cursor", "The search was made too long ago. Start again without the cursor.");
  }
  return { id: String(id), after: keys, state: query.state };
}

/** Whether a search without result says something about its text, and not about what narrowed it. */
const isPlain = ({ filter: { status: _, attrs, ...others } }: SearchQuery): boolean =>
  attrs.length === 0 && Object.keys(others).length === 0;

/** Keeps what was searched for: for its next pages, for clicks and orders, and for what the shop lacks. */
async function keep(
  deps: ProductDeps,
  query: SearchQuery,
  id: string,
  total: number,
  state: JsonValue | undefined,
) {
  const now = deps.clock.now();
  const q = cleanText(query.text);
  const expiresAt = after(now, total === 0 ? UNANSWERED : PAGED);
  await Promise.all([
    deps.searchQueries.record({
      _id: id,
      q,
      at: now,
      total,
      expiresAt,
      ...(state === undefined ? {} : { state }),
    }),
    total === 0 &&
      isPlain(query) &&
      deps.searchQueries.countUnanswered({ key: ruleKeyOf(q) || q, q, at: now, expiresAt }),
  ]);
}

/**
 * Active products that fit a text, with counts of what there is among them.
 * @throws AppError invalid_cursor, invalid_input when prices of several currencies would be compared
 */
export async function searchProducts(deps: ProductDeps, actor: Actor | undefined, query: SearchQuery) {
  const { text, sort, limit, include, facets: counted } = query;
  const scope = {
    list: "search",
    text,
    filter: { ...query.filter },
    sort: { ...sort },
  } as unknown as JsonValue;
  const placed = positionOf(deps, query.cursor, scope);
  const curated = deps.curation.current();
  const details = async () => {
    const [filter, { after, state }, { synonyms, ruleFor }] = await Promise.all([
      filterOf(deps, query),
      placed,
      curated,
    ]);
    const { pinned = [], hidden = [] } = ruleFor(text) ?? {};
    return { filter, sort, limit, after, state, facets: counted, synonyms, pinned, hidden };
  };
  const result = await deps.search.search(text, query.cursor === undefined, details());
  const [{ id, state }, curation] = await Promise.all([placed, curated]);
  const { redirect = null } = curation.ruleFor(text) ?? {};
  const { total, next } = result;
  const [rows, facets, leadsTo] = await Promise.all([
    deps.products.activeOf(result.ids, { ...fieldsFor(include), description: 1 }),
    result.facets && showFacets(curation, result.facets),
    redirect === null ? undefined : curation.categories([redirect]),
    state === null && keep(deps, query, id, total.value, next === null ? undefined : result.state),
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
      ...pageEnd(deps, next && [id, ...next], scope),
      ...(query.count ? { total } : {}),
    },
    ...(facets ? { facets } : {}),
    search: { id, didYouMean: result.corrected, redirect: leadsTo?.get(redirect ?? "")?.path ?? null },
  };
}

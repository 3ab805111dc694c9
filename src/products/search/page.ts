/** The page of a search, and the counts over all that fits. */
import type { JsonValue } from "../../lib/json";
import type { SearchRequest } from "./engine";
import { barsOf, FacetCounter } from "./facets";
import type { Found } from "./find";
import { type Keys, orderOf, readKeysOf, TopHits } from "./order";
import type { Group } from "./parts";

/** The columns that a request needs. */
export function groupsOf({ filter, sort, facets }: SearchRequest): Group[] {
  const { ids, category, brand, currency, priceFrom, priceTo, inStock, attrs } = filter;
  const filtered =
    [ids, category, brand, currency, priceFrom, priceTo, inStock].some((part) => part !== undefined) ||
    attrs.length > 0;
  return [
    "rank",
    ...(facets || filtered || sort?.name === "price" ? (["labels", "facets"] as const) : []),
    ...(sort?.name === "createdAt" ? (["created"] as const) : []),
  ];
}

/** The page of a request, and the counts over all that fit. */
export async function pageOf(found: Found, request: SearchRequest) {
  const { filter, sort, limit, after } = request;
  const compare = orderOf(sort);
  const top = new TopHits(limit + 1, compare);
  const counter = request.facets ? new FacetCounter(filter) : undefined;
  let total = 0;
  const plain = counter === undefined && !groupsOf(request).includes("facets");
  for (const [index, segment] of found.opened.segments.entries()) {
    const { ordinals, scores } = found.fits[index] as Found["fits"][number];
    if (ordinals.length === 0) continue;
    const { first, keysOf } = await readKeysOf(found.opened, segment, sort);
    const barsAt = plain ? undefined : barsOf(filter, segment.columns);
    const bars = new Int32Array(ordinals.length);
    for (let n = 0; n < ordinals.length; n++) {
      const ordinal = ordinals[n] as number;
      if (barsAt) bars[n] = barsAt(ordinal);
      if (bars[n] !== 0) continue;
      total++;
      const score = scores[ordinal] as number;
      if (top.refuses(first(ordinal, score))) continue;
      const keys = keysOf(ordinal, score);
      if (after === null || compare(keys, after as Keys) > 0) top.add({ segment, ordinal, keys });
    }
    counter?.add(segment.columns, ordinals, bars);
  }
  const shown = top.hits.slice(0, limit);
  return {
    ids: await found.opened.idsOf(shown),
    next: top.hits.length > limit ? ((shown.at(-1)?.keys ?? null) as JsonValue[] | null) : null,
    total,
    facets: counter?.done(total),
  };
}

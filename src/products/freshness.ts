import type { Freshness } from "../http/cache";

/** Products: prices and what is in stock may be half a minute old for a guest. */
export const PRODUCTS: Freshness = { maxAge: 30, stale: 300 };
/** What changes seldom: categories, brands and their counts. */
export const CATALOGUE: Freshness = { maxAge: 60, stale: 600 };

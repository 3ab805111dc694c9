import type { MongoTx } from "../db/mongo";
import type { ProductPopularityStore } from "./popularity.store";
import type { SearchEngine } from "./search/engine";

/** Sets the popularity of products, in the catalogue and in the search. */
export async function setPopularity(
  deps: { productPopularity: ProductPopularityStore; search: SearchEngine },
  changes: { id: string; popularity: number }[],
  tx: MongoTx,
): Promise<void> {
  if (changes.length === 0) return;
  await deps.productPopularity.set(changes, tx);
  await deps.search.setPopularity(changes, tx);
}

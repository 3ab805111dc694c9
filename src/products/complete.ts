import { searchKey } from "../lib/text";
import { createPictureStore } from "./images/store";
import { coverOf, shownOf } from "./shown";
import { createProductStore } from "./store";

/** What lists show is not searched. */
const NO_INDEX = { put: async () => undefined, setInStock: async () => undefined };

/** Products that are read and written together. */
const BATCH = 200;

/**
 * A step of the deploy: gives products of before lists showed it what they show of their variants and pictures.
 * Reads show such products rightly too, only with more queries, and `filter[gtin]` does not find them. It may run
 * while the shop is open, and again: who changes a product meanwhile writes these fields themselves.
 * @returns how many products were completed
 */
export async function completeProducts(mongo: Parameters<typeof createProductStore>[0]): Promise<number> {
  const products = createProductStore(mongo, NO_INDEX);
  const pictures = createPictureStore(mongo);
  for (let after: string | null = null; ; ) {
    const named: Awaited<ReturnType<typeof products.accentedNames>> = await products.accentedNames(
      after,
      BATCH,
    );
    await products.setNameKeys(
      named
        .map((product) => ({ ...product, to: searchKey(product.name) }))
        .filter(({ nameKey, to }) => nameKey !== to)
        .map(({ _id, name, to }) => ({ _id, name, nameKey: to })),
    );
    after = named.at(-1)?._id ?? null;
    if (after === null || named.length < BATCH) break;
  }
  for (let done = 0; ; ) {
    const batch = await products.incomplete(BATCH);
    if (batch.length === 0) return done;
    const first = await pictures.ofProducts(batch.map(({ _id }) => _id));
    await products.complete(
      batch.map(({ _id, version, pictureRevision, variants, ...price }) => ({
        _id,
        version,
        pictureRevision,
        ...shownOf(variants, price),
        picture: coverOf(first.get(_id)?.[0]),
      })),
    );
    done += batch.length;
  }
}

import { mutate } from "../../audit";
import { duplicateKey, type MongoTx } from "../../db/mongo";
import type { ProductDeps } from "../deps";
import type { ProductDocument } from "../model";

/** Products in one transaction. */
const PAGE = 50;
/** How often a page that others write at the same moment is tried. */
const TRIES = 20;

/**
 * Gives every living product to a function, some at a time, in the transaction in which they were read.
 * @param onDone called with how many are done after each page
 */
export async function walkProducts(
  deps: ProductDeps,
  onPage: (products: ProductDocument[], tx: MongoTx) => Promise<void>,
  onDone: (count: number) => void,
): Promise<void> {
  for (let after: string | null = null, attempt = 1; ; ) {
    try {
      const from: string | null = after;
      const page: ProductDocument[] = await mutate(deps, "mongo", {}, async (tx) => {
        const read = await deps.products.pageById(from, PAGE, undefined, tx);
        if (read.length > 0) await onPage(read, tx);
        return read;
      });
      onDone(page.length);
      if (page.length < PAGE) return;
      after = page.at(-1)?._id ?? null;
      attempt = 1;
    } catch (error) {
      // Its document was made by a change of the product at the same moment.
      if (duplicateKey(error) === undefined || attempt >= TRIES) throw error;
      attempt++;
    }
  }
}

/** Rebuilds the whole index while it is searched and written. */
import type { MongoTx } from "../../db/mongo";
import type { ProductDocument } from "../model";
import { type BuiltinOptions, rebuildSegments } from "./compact";
import { UNSEEN } from "./model";

/** How often the segments are tried when another process works on them meanwhile. */
const TRIES = 60;

type Put = (
  products: ProductDocument[],
  tx: MongoTx | undefined,
  isNew: boolean,
  epoch?: number,
) => Promise<void>;

/**
 * Analyses every product, some at a time, each in a transaction that conflicts with a change of the same product; then
 * makes all segments from that and puts them in the place of those that there are, at once. Until then searches use
 * those, and what changes meanwhile is read from the documents.
 * @throws Error when other processes kept working on the segments
 */
export async function rebuildIndex(
  { eachProduct, countProducts, ...worker }: BuiltinOptions,
  put: Put,
  onProgress: (done: number, all: number) => void,
): Promise<void> {
  const all = (await countProducts()) * 2;
  let analysed = 0;
  await eachProduct(
    (products, tx) => put(products, tx, false, UNSEEN),
    (count) => {
      analysed += count;
      onProgress(analysed, Math.max(all, analysed * 2));
    },
  );
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (await rebuildSegments(worker, (done) => onProgress(analysed + done, Math.max(all, analysed + done))))
      return;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new Error("Other processes kept working on the search's segments. Run the rebuild again.");
}

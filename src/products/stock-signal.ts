import type { MongoTx } from "../db/mongo";
import type { ProductDeps } from "./deps";
import type { ProductDocument } from "./model";

/**
 * For whoever makes a product or changes its SKUs, in the same transaction: `inStock` of the product is looked
 * at again when one of these SKUs has stock levels. (A level needs a product, so a new SKU has none.)
 * @param product with the SKUs that it has and those that it had
 */
export async function signalProduct(
  deps: ProductDeps,
  product: Pick<ProductDocument, "_id" | "skuKeys">,
  signalId: string,
  tx?: MongoTx,
): Promise<void> {
  if (product.skuKeys === undefined || !(await deps.inventory.hasLevels(product.skuKeys, tx))) return;
  await deps.inventory.addSignals(
    [{ _id: signalId, productId: product._id, createdAt: deps.clock.now() }],
    tx,
  );
}

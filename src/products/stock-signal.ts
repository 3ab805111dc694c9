import type { MongoTx } from "../db/mongo";
import type { Clock } from "../lib/clock";
import type { ProductDocument } from "./model";
import type { StockOfProducts } from "./stock-of-products";

interface SignalDeps {
  inventory: StockOfProducts;
  clock: Clock;
}
type Signalled = Pick<ProductDocument, "_id" | "skuKeys">;

/**
 * For whoever makes products or changes their SKUs, in the same transaction: `inStock` of the products is looked
 * at again when one of these SKUs has stock levels. (A level needs a product, so a new SKU has none.)
 * @param changes products with the SKUs that they have and those that they had, and an id for a signal of each
 */
export async function signalProducts(
  deps: SignalDeps,
  changes: { product: Signalled; signalId: string }[],
  tx?: MongoTx,
): Promise<void> {
  const skuKeys = changes.flatMap(({ product }) => product.skuKeys ?? []);
  if (skuKeys.length === 0 || !(await deps.inventory.hasLevels(skuKeys, tx))) return;
  const createdAt = deps.clock.now();
  await deps.inventory.addSignals(
    changes.map(({ product, signalId }) => ({ _id: signalId, productId: product._id, createdAt })),
    tx,
  );
}

/** The same for one product. */
export const signalProduct = (
  deps: SignalDeps,
  product: Signalled,
  signalId: string,
  tx?: MongoTx,
): Promise<void> => signalProducts(deps, [{ product, signalId }], tx);

import type { MongoTx } from "../db/mongo";

/** What the catalogue asks of stock keeping, which stands above it. */
export interface StockOfProducts {
  /** What can be had of each of the SKUs, and whether it can be ordered; those without levels are left out. */
  sellableOf(skuKeys: string[]): Promise<Map<string, { available: number; orderable: boolean }>>;
  /** True when one of the SKUs has a level. */
  hasLevels(skuKeys: string[], tx?: MongoTx): Promise<boolean>;
  /** One of the SKUs that has units somewhere, or owes some. */
  skuWithStock(skuKeys: string[], tx: MongoTx): Promise<string | undefined>;
  /** Gives stock under SKUs (canonical) other ones. @throws AppError conflict when one has stock of its own */
  renameSkus(
    renames: { from: string; to: { sku: string; skuKey: string } }[],
    now: Date,
    tx: MongoTx,
  ): Promise<void>;
  /** Has `inStock` of products looked at again. */
  addSignals(signals: { _id: string; productId: string; createdAt: Date }[], tx?: MongoTx): Promise<void>;
}

import type { Mongo } from "../db/mongo";
import { type ProductDocument, productModel } from "./model";
import type { ProductIndex } from "./search/engine";

/** `inStock` of products: written without a new version of the product. */
export const createInStockStore = (mongo: Mongo, index: ProductIndex) => {
  const Product = productModel(mongo.connection);
  return {
    /** Those of the SKUs that an active product has: what can be sold. */
    async activeSkus(skuKeys: string[]): Promise<Set<string>> {
      const wanted = new Set(skuKeys);
      const found = await Product.find(
        { skuKeys: { $in: [...wanted] }, status: "active" },
        { skuKeys: 1 },
      ).lean();
      return new Set(found.flatMap((product) => product.skuKeys ?? []).filter((key) => wanted.has(key)));
    },

    /** The products that have one of these SKUs, with the revision of their `inStock`. */
    stockStates: (skuKeys: string[]): Promise<Pick<ProductDocument, "_id" | "skuKeys" | "stockRevision">[]> =>
      Product.find({ skuKeys: { $in: skuKeys } })
        .select({ skuKeys: 1, stockRevision: 1 })
        .lean(),

    /**
     * Writes `inStock` of products whose revision is still the given one, without a new version.
     * @returns how many had another revision
     */
    async setInStock(
      states: { id: string; revision: number | undefined; inStock: boolean }[],
    ): Promise<number> {
      if (states.length === 0) return 0;
      const { matchedCount } = await Product.bulkWrite(
        states.map(({ id, revision, inStock }) => ({
          updateOne: {
            filter: { _id: id, stockRevision: revision ?? null },
            update: { $set: { inStock, stockRevision: (revision ?? 0) + 1 } },
          },
        })),
        { ordered: false },
      );
      const written = await Product.find(
        { _id: { $in: states.map(({ id }) => id) } },
        { inStock: 1, stockRevision: 1 },
      ).lean();
      await index.setInStock(
        written.map(({ _id, inStock = false, stockRevision = 0 }) => ({
          id: _id,
          inStock,
          revision: stockRevision,
        })),
      );
      return states.length - matchedCount;
    },
  };
};

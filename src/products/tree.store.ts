import type { Mongo, MongoTx } from "../db/mongo";
import { productModel } from "./model";
import type { ProductIndex } from "./search/engine";
import type { CategorisedProduct } from "./summary";

/** Where products stand in the tree of categories. */
export const createProductTrees = (mongo: Mongo, index: ProductIndex) => {
  const Product = productModel(mongo.connection);
  /** Takes products into the search again as they are, whichever of these are there. */
  const reindex = async (ids: string[], tx?: MongoTx): Promise<void> => {
    await index.put(await Product.find({ _id: { $in: ids } }, null, mongo.in(tx)).lean(), tx, false);
  };
  return {
    reindex,

    /** Products below a category, deleted ones too, by id from behind `after` on: what says where they stand in the tree. */
    below: (
      categoryId: string,
      after: string | null,
      limit: number,
      tx?: MongoTx,
    ): Promise<CategorisedProduct[]> =>
      Product.find(
        { categoryTree: categoryId, ...(after === null ? {} : { _id: { $gt: after } }) },
        { categoryIds: 1, categoryTree: 1, version: 1 },
        mongo.in(tx),
      )
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /** Whether a living product is in one of these categories itself. */
    isInCategories: async (categoryIds: string[], tx: MongoTx): Promise<boolean> =>
      (await Product.findOne(
        { categoryTree: { $in: categoryIds }, categoryIds: { $in: categoryIds }, deletedAt: null },
        { _id: 1 },
        mongo.in(tx),
      ).lean()) !== null,

    /**
     * Writes where products stand in the tree, of those that still have the version that was read. Other
     * categories of its own make a new version of a product.
     * @returns how many had another version
     */
    async setTrees(
      changes: { id: string; version: number; categoryIds?: string[]; categoryTree: string[] }[],
      tx?: MongoTx,
    ): Promise<number> {
      const { matchedCount } = await Product.bulkWrite(
        changes.map(({ id, version, ...trees }) => ({
          updateOne: {
            filter: { _id: id, version },
            update: { $set: trees, $inc: { version: trees.categoryIds === undefined ? 0 : 1 } },
          },
        })),
        mongo.in(tx),
      );
      if (matchedCount === changes.length)
        await reindex(
          changes.map(({ id }) => id),
          tx,
        );
      return changes.length - matchedCount;
    },
  };
};

import type { Mongo, MongoTx } from "../db/mongo";
import { canonicalKey } from "../lib/text";
import { productModel } from "./model";

/** Names and popularity of products, for whoever counts what people look at. */
export const createProductPopularityStore = (mongo: Mongo) => {
  const Product = productModel(mongo.connection);

  return {
    async names(ids: string[]): Promise<Map<string, string>> {
      const rows = await Product.find({ _id: { $in: ids } }, { name: 1 }).lean<
        { _id: string; name: string }[]
      >();
      return new Map(rows.map(({ _id, name }) => [_id, name]));
    },

    /** Products by the SKUs of their variants, in whatever spelling; unknown ones are left out. */
    async idsBySku(skus: string[]): Promise<Map<string, string>> {
      const rows = await Product.find(
        { skuKeys: { $in: skus.map(canonicalKey) }, deletedAt: null },
        { skuKeys: 1 },
      ).lean<{ _id: string; skuKeys: string[] }[]>();
      const ids = new Map(rows.flatMap(({ _id, skuKeys }) => skuKeys.map((key) => [key, _id] as const)));
      return new Map(
        skus.flatMap((sku) => {
          const id = ids.get(canonicalKey(sku));
          return id === undefined ? [] : [[sku, id] as const];
        }),
      );
    },

    /** The popularity of those products that are not deleted. */
    find: (ids: string[], tx: MongoTx) =>
      Product.find({ _id: { $in: ids }, deletedAt: null }, { popularity: 1 }, mongo.in(tx)).lean<
        { _id: string; popularity: number }[]
      >(),

    /** It is no edit: version and time of change stay. */
    async set(changes: { id: string; popularity: number }[], tx: MongoTx): Promise<void> {
      await Product.bulkWrite(
        changes.map(({ id, popularity }) => ({
          updateOne: { filter: { _id: id }, update: { $set: { popularity } } },
        })),
        { ...mongo.in(tx), ordered: true },
      );
    },
  };
};

export type ProductPopularityStore = ReturnType<typeof createProductPopularityStore>;

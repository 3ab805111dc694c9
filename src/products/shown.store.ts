import type { Mongo, MongoTx } from "../db/mongo";
import { type CoverPicture, type ProductDocument, productModel, type VariantDocument } from "./model";
import type { Shown } from "./shown";

/** What lists show of a product, and its pictures: written without a new version of the product. */
export const createShownStore = (mongo: Mongo) => {
  const Product = productModel(mongo.connection);
  return {
    /** The variants of these products. */
    async variantsOf(ids: string[]): Promise<Map<string, VariantDocument[]>> {
      const found = await Product.find({ _id: { $in: ids } }, { variants: 1 }).lean();
      return new Map(found.map(({ _id, variants }) => [_id, variants]));
    },

    /** Products, deleted ones too, that lack what lists show of their variants or their picture. */
    incomplete: (
      limit: number,
    ): Promise<
      Pick<ProductDocument, "_id" | "version" | "variants" | "price" | "currency" | "pictureRevision">[]
    > =>
      Product.find(
        { $or: [{ variantCount: { $exists: false } }, { picture: { $exists: false } }] },
        { version: 1, variants: 1, price: 1, currency: 1, pictureRevision: 1 },
      )
        .limit(limit)
        .lean(),

    /** Writes what lists show of products that nobody has changed since they were read. */
    async complete(
      products: (Pick<ProductDocument, "_id" | "version" | "pictureRevision" | "picture"> & Shown)[],
    ): Promise<void> {
      await Product.bulkWrite(
        products.map(({ _id, version, pictureRevision, ...shown }) => ({
          updateOne: {
            filter: { _id, version, pictureRevision: pictureRevision ?? { $exists: false } },
            update: { $set: shown },
          },
        })),
        { ordered: false },
      );
    },

    /** A page of products by id whose sort key of their name may be of before accents were left out. */
    accentedNames: (
      after: string | null,
      limit: number,
    ): Promise<Pick<ProductDocument, "_id" | "name" | "nameKey">[]> =>
      Product.find(
        { nameKey: /[^ -~]/, ...(after === null ? {} : { _id: { $gt: after } }) },
        { name: 1, nameKey: 1 },
      )
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /** Writes sort keys of names that nobody has changed since they were read. */
    async setNameKeys(products: { _id: string; name: string; nameKey: string }[]): Promise<void> {
      if (products.length === 0) return;
      await Product.bulkWrite(
        products.map(({ _id, name, nameKey }) => ({
          updateOne: { filter: { _id, name }, update: { $set: { nameKey } } },
        })),
        { ordered: false },
      );
    },

    /** Writes how the first picture of a product looks, without a new version of the product. */
    setPicture: async (id: string, picture: CoverPicture | null, tx: MongoTx): Promise<void> => {
      await Product.updateOne({ _id: id }, { $set: { picture }, $inc: { pictureRevision: 1 } }, mongo.in(tx));
    },

    /**
     * Counts one more picture of a living product, without a new version of it.
     * @returns how many there were before, ever; null when there is no such product
     */
    async countPicture(id: string, tx: MongoTx): Promise<number | null> {
      const product = await Product.findOneAndUpdate(
        { _id: id, deletedAt: null },
        { $inc: { pictureSequence: 1 } },
        { ...mongo.in(tx), returnDocument: "before", projection: { pictureSequence: 1 } },
      ).lean();
      return product && (product.pictureSequence ?? 0);
    },
  };
};

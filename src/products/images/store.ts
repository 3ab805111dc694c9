import type { Mongo, MongoTx } from "../../db/mongo";
import { type PictureDocument, pictureModel } from "./model";

/** Records of pictures in MongoDB. */
export const createPictureStore = (mongo: Mongo) => {
  const Picture = pictureModel(mongo.connection);
  return {
    create: async (picture: PictureDocument, tx?: MongoTx): Promise<void> => {
      await Picture.create([picture], mongo.in(tx));
    },

    findById: (id: string, tx?: MongoTx): Promise<PictureDocument | null> =>
      Picture.findById(id, null, mongo.in(tx)).lean(),

    /** The pictures of a product in their order. */
    ofProduct: (productId: string, tx?: MongoTx): Promise<PictureDocument[]> =>
      Picture.find({ productId }, null, mongo.in(tx)).sort({ position: 1, _id: 1 }).lean(),

    /** The pictures of these products, each product's in their order. */
    async ofProducts(productIds: string[]): Promise<Map<string, PictureDocument[]>> {
      const found = await Picture.find({ productId: { $in: productIds } })
        .sort({ productId: 1, position: 1, _id: 1 })
        .lean();
      return Map.groupBy(found, ({ productId }) => productId);
    },

    /** Which of these products have at least one picture. */
    async productsWithPictures(productIds: string[]): Promise<Set<string>> {
      return new Set(await Picture.distinct("productId", { productId: { $in: productIds } }));
    },

    /** Changes a picture if it still has the version. @returns what it is now, or null when it has another */
    update: (
      id: string,
      version: number,
      change: Partial<Pick<PictureDocument, "alt" | "position" | "variantIds">>,
      tx?: MongoTx,
    ): Promise<PictureDocument | null> =>
      Picture.findOneAndUpdate(
        { _id: id, version },
        { $set: change, $inc: { version: 1 } },
        { ...mongo.in(tx), returnDocument: "after", runValidators: true },
      ).lean(),

    /** Records widths that are there as AVIF. The version stays: nobody changed anything. */
    addAvif: async (id: string, width: number, tx: MongoTx): Promise<void> => {
      await Picture.updateOne({ _id: id }, { $addToSet: { avifWidths: width } }, mongo.in(tx));
    },

    /** Records that an import fetched a picture from there too, and shows these variants. Nobody changed anything. */
    addSource: async (id: string, source: string, variantIds: string[], tx?: MongoTx): Promise<void> => {
      const shown = variantIds.length === 0 ? {} : { variantIds: { $each: variantIds } };
      await Picture.updateOne({ _id: id }, { $addToSet: { sources: source, ...shown } }, mongo.in(tx));
    },

    remove: async (id: string, tx?: MongoTx): Promise<boolean> =>
      (await Picture.deleteOne({ _id: id }, mongo.in(tx))).deletedCount === 1,
  };
};

export type PictureStore = ReturnType<typeof createPictureStore>;

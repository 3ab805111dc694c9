import type { Mongo, MongoTx } from "../db/mongo";
import { formerSlugModel } from "./model";

/** Slugs that products had and gave away, in MongoDB: each belongs to the product that had it last. */
export const createFormerSlugStore = (mongo: Mongo) => {
  const FormerSlug = formerSlugModel(mongo.connection);
  return {
    /** The product that had this slug last. */
    ownerOf: async (slugKey: string): Promise<string | undefined> =>
      (await FormerSlug.findById(slugKey).lean())?.productId,

    /**
     * Records that products give slugs away, in the transaction that takes them from the products. One slug has
     * one living owner at a time, so of two records of it the later is of the later owner.
     */
    async record(given: { slugKey: string; productId: string }[], now: Date, tx: MongoTx): Promise<void> {
      if (given.length === 0) return;
      await FormerSlug.bulkWrite(
        given.map(({ slugKey, productId }) => ({
          updateOne: {
            filter: { _id: slugKey },
            update: { $set: { productId, releasedAt: now } },
            upsert: true,
          },
        })),
        mongo.in(tx),
      );
    },
  };
};

export type FormerSlugStore = ReturnType<typeof createFormerSlugStore>;

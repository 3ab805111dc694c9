import type { Mongo, MongoTx } from "../db/mongo";
import { popularityModel } from "./model";

/** What behaviour has added to the popularity of products. */
export const createPopularityStore = (mongo: Mongo) => {
  const Popularity = popularityModel(mongo.connection);

  return {
    /** Products that behaviour has raised, and what it wrote. */
    find: (ids: string[], tx: MongoTx) => Popularity.find({ _id: { $in: ids } }, null, mongo.in(tx)).lean(),

    ids: async (): Promise<string[]> =>
      (await Popularity.find({}, { _id: 1 }).lean<{ _id: string }[]>()).map(({ _id }) => _id),

    /** Remembers what was written to products. */
    async remember(
      changes: { id: string; base: number; popularity: number; before: number }[],
      tx: MongoTx,
    ): Promise<void> {
      if (changes.length === 0) return;
      await Popularity.bulkWrite(
        changes.map(({ id, base, popularity, before }) => ({
          updateOne: {
            filter: { _id: id },
            update: { $set: { base, written: popularity, before } },
            upsert: true,
          },
        })),
        { ...mongo.in(tx), ordered: true },
      );
    },
  };
};

/** Searches that were made. */
import { duplicateKey, type Mongo } from "../../db/mongo";
import { type QueryDocument, searchQueryModel, type UnansweredDocument, unansweredModel } from "./model";

export const createQueryStore = (mongo: Mongo) => {
  const Queries = searchQueryModel(mongo.connection);
  const Unanswered = unansweredModel(mongo.connection);
  return {
    async record(query: QueryDocument): Promise<void> {
      await Queries.collection.insertOne(query as never);
    },

    async find(id: string): Promise<QueryDocument | null> {
      return (await Queries.collection.findOne({ _id: id as never })) as unknown as QueryDocument | null;
    },

    /** Counts a search that found nothing. @param key its text as it is compared; @param q as it was typed */
    async countUnanswered({
      key,
      q,
      at,
      expiresAt,
    }: Record<"key" | "q", string> & Record<"at" | "expiresAt", Date>) {
      const count = (upsert: boolean) =>
        Unanswered.collection.updateOne(
          { _id: key as never },
          { $inc: { count: 1 }, $set: { q, at, expiresAt }, $setOnInsert: { firstAt: at } } as never,
          { upsert },
        );
      await count(true).catch((error) => {
        // Two made it at the same moment.
        if (duplicateKey(error) === undefined) throw error;
        return count(false);
      });
    },

    /** The most frequent first, from behind one on. */
    async unanswered(
      after: { count: number; key: string } | undefined,
      limit: number,
    ): Promise<UnansweredDocument[]> {
      const behind = after && {
        $or: [{ count: { $lt: after.count } }, { count: after.count, _id: { $gt: after.key as never } }],
      };
      const rows = Unanswered.collection.find(behind ?? {}, { sort: { count: -1, _id: 1 }, limit });
      return (await rows.toArray()) as unknown as UnansweredDocument[];
    },
  };
};

export type QueryStore = ReturnType<typeof createQueryStore>;

/** Searches that were made. */
import type { Mongo } from "../../db/mongo";
import { type QueryDocument, searchQueryModel } from "./model";

export const createQueryStore = (mongo: Mongo) => {
  const Queries = searchQueryModel(mongo.connection);
  return {
    async record(query: QueryDocument): Promise<void> {
      await Queries.collection.insertOne(query as never);
    },

    async find(id: string): Promise<QueryDocument | null> {
      return (await Queries.collection.findOne({ _id: id as never })) as unknown as QueryDocument | null;
    },
  };
};

export type QueryStore = ReturnType<typeof createQueryStore>;

/** Synonyms and rules in MongoDB, with a version that every change of them counts up. */
import type { Model } from "mongoose";
import { duplicateKey, type Mongo, type MongoTx } from "../../../db/mongo";
import { AppError } from "../../../lib/errors";
import { searchManifestModel } from "../model";
import { type RuleDocument, ruleModel, type SynonymDocument, synonymModel } from "./model";

/** Rows of one kind. */
function rowsOf<Row extends { _id: string; version: number }>(Rows: Model<{ _id: string }>, mongo: Mongo) {
  const found = (row: unknown) => row as Row | null;
  return {
    all: async (): Promise<Row[]> =>
      (await Rows.collection.find({}, { sort: { _id: 1 } }).toArray()) as unknown as Row[],

    /** By id from behind one on. */
    page: async (after: string | null, limit: number): Promise<Row[]> =>
      (await Rows.collection
        .find(after === null ? {} : { _id: { $gt: after as never } }, { sort: { _id: 1 }, limit })
        .toArray()) as unknown as Row[],

    find: async (id: string, tx?: MongoTx): Promise<Row | null> =>
      found(await Rows.collection.findOne({ _id: id as never }, mongo.in(tx))),

    count: (tx: MongoTx): Promise<number> => Rows.collection.countDocuments({}, mongo.in(tx)),

    async create(row: Row, tx: MongoTx): Promise<void> {
      await Rows.collection.insertOne(row as never, mongo.in(tx));
    },

    async replace({ _id, ...row }: Row, tx: MongoTx): Promise<void> {
      await Rows.collection.replaceOne({ _id: _id as never }, row, mongo.in(tx));
    },

    async remove(id: string, tx: MongoTx): Promise<void> {
      await Rows.collection.deleteOne({ _id: id as never }, mongo.in(tx));
    },
  };
}

export const createCurationStore = (mongo: Mongo) => {
  const Versions = searchManifestModel(mongo.connection);
  const Rules = ruleModel(mongo.connection);
  return {
    synonyms: rowsOf<SynonymDocument>(synonymModel(mongo.connection), mongo),
    rules: rowsOf<RuleDocument>(Rules, mongo),

    ruleByKey: async (key: string, tx: MongoTx): Promise<RuleDocument | null> =>
      (await Rules.collection.findOne({ key }, mongo.in(tx))) as unknown as RuleDocument | null,

    async version(): Promise<number> {
      const row = await Versions.collection.findOne({ _id: "curation" as never });
      return (row?.version as number | undefined) ?? 0;
    },

    /** First in every transaction that changes a synonym or rule: of two at once one has to begin again. */
    async countUp(tx: MongoTx): Promise<void> {
      try {
        await Versions.collection.updateOne(
          { _id: "curation" as never },
          { $inc: { version: 1 } },
          { ...mongo.in(tx), upsert: true },
        );
      } catch (error) {
        // Two made it at the same moment, the first one ever.
        if (!duplicateKey(error)) throw error;
        throw new AppError("conflict", "Somebody else changed the search at this moment. Try again.");
      }
    },
  };
};

export type CurationStore = ReturnType<typeof createCurationStore>;

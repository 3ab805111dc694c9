/** Synonyms and rules in MongoDB. */
import type { Collection } from "mongoose";
import { guardIn, guardVersions } from "../../../db/guards";
import type { Mongo, MongoTx } from "../../../db/mongo";
import { type RuleDocument, ruleModel, type SynonymDocument, synonymModel } from "./model";

/** Rows of one kind. */
function rowsOf<Row extends { _id: string; version: number }>(rows: Collection, mongo: Mongo) {
  const found = (row: unknown) => row as Row | null;
  return {
    all: async (): Promise<Row[]> =>
      (await rows.find({}, { sort: { _id: 1 } }).toArray()) as unknown as Row[],

    /** By id from behind one on. */
    page: async (after: string | null, limit: number): Promise<Row[]> =>
      (await rows
        .find(after === null ? {} : { _id: { $gt: after as never } }, { sort: { _id: 1 }, limit })
        .toArray()) as unknown as Row[],

    find: async (id: string, tx?: MongoTx): Promise<Row | null> =>
      found(await rows.findOne({ _id: id as never }, mongo.in(tx))),

    count: (tx: MongoTx): Promise<number> => rows.countDocuments({}, mongo.in(tx)),

    async create(row: Row, tx: MongoTx): Promise<void> {
      await rows.insertOne(row as never, mongo.in(tx));
    },

    async replace({ _id, ...row }: Row, tx: MongoTx): Promise<void> {
      await rows.replaceOne({ _id: _id as never }, row, mongo.in(tx));
    },

    async remove(id: string, tx: MongoTx): Promise<void> {
      await rows.deleteOne({ _id: id as never }, mongo.in(tx));
    },
  };
}

export const createCurationStore = (mongo: Mongo) => {
  const Rules = ruleModel(mongo.connection);
  return {
    synonyms: rowsOf<SynonymDocument>(synonymModel(mongo.connection).collection, mongo),
    rules: rowsOf<RuleDocument>(Rules.collection, mongo),

    ruleByKey: async (key: string, tx: MongoTx): Promise<RuleDocument | null> =>
      (await Rules.collection.findOne({ key }, mongo.in(tx))) as unknown as RuleDocument | null,

    /** First in every transaction that changes a synonym or rule: of two at once one has to begin again. */
    guard: (tx: MongoTx): Promise<void> => guardIn(mongo, "search", tx),

    /** Versions of all synonyms and rules, and of all categories. */
    async versions(): Promise<{ curation: number; categories: number }> {
      const [curation = 0, categories = 0] = await guardVersions(mongo, ["search", "categories"]);
      return { curation, categories };
    },
  };
};

export type CurationStore = ReturnType<typeof createCurationStore>;

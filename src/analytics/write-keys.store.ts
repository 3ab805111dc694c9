import type { Mongo, MongoTx } from "../db/mongo";
import { type WriteKeyDocument, writeKeyModel } from "./model";

/** Keys that pages and apps send events with. */
export const createWriteKeyStore = (mongo: Mongo) => {
  const WriteKey = writeKeyModel(mongo.connection);

  return {
    async create(key: WriteKeyDocument, tx: MongoTx): Promise<void> {
      await WriteKey.create([key], mongo.in(tx));
    },

    find: (id: string): Promise<WriteKeyDocument | null> => WriteKey.findById(id).lean<WriteKeyDocument>(),

    /** At most so many, the oldest first. */
    list: (limit: number): Promise<WriteKeyDocument[]> =>
      WriteKey.find({}).sort({ createdAt: 1, _id: 1 }).limit(limit).lean<WriteKeyDocument[]>(),

    count: (): Promise<number> => WriteKey.countDocuments({ revokedAt: null }),

    /** @returns false when it is revoked already, or there is none */
    async revoke(id: string, revokedAt: Date, tx: MongoTx): Promise<boolean> {
      const change = { $set: { revokedAt } };
      const { modifiedCount } = await WriteKey.updateOne({ _id: id, revokedAt: null }, change, mongo.in(tx));
      return modifiedCount === 1;
    },
  };
};

import type { Mongo, MongoTx } from "../../db/mongo";
import {
  type BulkDocument,
  type BulkFaultDocument,
  bulkFaultModel,
  bulkModel,
  checkpointModel,
} from "./model";
import type { ImportFault, ImportProgress } from "./shapes";

/** Imports and exports in MongoDB: what was asked for, and which rows were refused. */
export const createBulkStore = (mongo: Mongo) => {
  const Bulk = bulkModel(mongo.connection);
  const Fault = bulkFaultModel(mongo.connection);
  const Checkpoint = checkpointModel(mongo.connection);
  return {
    create: async (bulk: BulkDocument, tx?: MongoTx): Promise<void> => {
      await Bulk.create([bulk], mongo.in(tx));
    },

    findById: (id: string): Promise<BulkDocument | null> => Bulk.findById(id).lean(),

    /** Records that it is done. */
    finish: async (id: string, change: { finishedAt: Date; size?: number }): Promise<void> => {
      await Bulk.updateOne({ _id: id }, { $set: change });
    },

    /** Adds refused rows; those that are there already are left as they are. */
    async addFaults(bulkId: string, faults: ImportFault[]): Promise<void> {
      if (faults.length === 0) return;
      const places = new Map<number, number>();
      await Fault.bulkWrite(
        faults.map(({ row, message, place: given }) => {
          const place = places.get(row) ?? 0;
          places.set(row, place + 1);
          const _id = `${bulkId}:${row}:${given ?? place}`;
          return {
            updateOne: { filter: { _id }, update: { $setOnInsert: { bulkId, row, message } }, upsert: true },
          };
        }),
        { ordered: false },
      );
    },

    /** Refused rows of an import in the order of its file. */
    faultsOf: (bulkId: string, limit: number): Promise<BulkFaultDocument[]> =>
      Fault.find({ bulkId }).sort({ row: 1, _id: 1 }).limit(limit).lean(),

    remove: async (id: string): Promise<void> => {
      await Fault.deleteMany({ bulkId: id });
      await Bulk.deleteOne({ _id: id });
    },

    /** How far an import from the command line came, or null. */
    checkpoint: async (key: string): Promise<ImportProgress | null> =>
      ((await Checkpoint.findById(key).lean())?.progress as ImportProgress | undefined) ?? null,

    saveCheckpoint: async (key: string, progress: ImportProgress, expiresAt: Date): Promise<void> => {
      await Checkpoint.updateOne({ _id: key }, { $set: { progress, expiresAt } }, { upsert: true });
    },

    removeCheckpoint: async (key: string): Promise<void> => {
      await Checkpoint.deleteOne({ _id: key });
    },
  };
};

export type BulkStore = ReturnType<typeof createBulkStore>;

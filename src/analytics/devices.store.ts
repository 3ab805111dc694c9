import type { Mongo, MongoTx } from "../db/mongo";
import { chunks, inChunks, WHOLE } from "./batches.store";
import { type DeviceDocument, deviceModel } from "./model";

/** Whose devices are. */
export const createDeviceStore = (mongo: Mongo) => {
  const Device = deviceModel(mongo.connection);

  return {
    find: (devices: string[], tx?: MongoTx): Promise<DeviceDocument[]> =>
      inChunks(devices, (part) =>
        Device.find({ _id: { $in: part } }, null, { ...mongo.in(tx), ...WHOLE }).lean<DeviceDocument[]>(),
      ),

    ofPersons: (persons: string[], tx?: MongoTx): Promise<DeviceDocument[]> =>
      inChunks(persons, (part) =>
        Device.find({ person: { $in: part } }, null, { ...mongo.in(tx), ...WHOLE }).lean<DeviceDocument[]>(),
      ),

    async set(devices: DeviceDocument[], tx: MongoTx): Promise<void> {
      for (const part of chunks(devices, 1000)) {
        await Device.bulkWrite(
          part.map(({ _id, person }) => ({
            updateOne: { filter: { _id }, update: { $set: { person } }, upsert: true },
          })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },

    async forgetPerson(person: string): Promise<void> {
      await Device.deleteMany({ person });
    },

    async remove(devices: string[], tx: MongoTx): Promise<void> {
      for (const part of chunks(devices)) await Device.deleteMany({ _id: { $in: part } }, mongo.in(tx));
    },

    /** Devices from behind one on, in the order of their ids. */
    async after(afterId: string, limit: number): Promise<string[]> {
      const rows = await Device.find({ _id: { $gt: afterId } }, { _id: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => _id);
    },
  };
};

import { duplicateKey, type Mongo } from "../db/mongo";
import { analyticsStateModel } from "./model";

/** What all processes share for some time. */
export const createStateStore = (mongo: Mongo) => {
  const State = analyticsStateModel(mongo.connection);

  return {
    /** The salt of a day, the same for every process: `fresh` unless there is one already. */
    async daySalt(day: string, fresh: Uint8Array, expiresAt: Date): Promise<Uint8Array> {
      const _id = `salt:${day}`;
      try {
        await State.create([{ _id, salt: Buffer.from(fresh), expiresAt }]);
        return fresh;
      } catch (error) {
        if (!duplicateKey(error)) throw error;
      }
      const row = await State.findById(_id).lean();
      // It ended between two calls: nobody will ever see this visitor again, which is what ending means.
      return row?.salt === undefined ? fresh : new Uint8Array(row.salt.buffer);
    },

    removeExpired: (now: Date) => State.deleteMany({ expiresAt: { $lte: now } }),
  };
};

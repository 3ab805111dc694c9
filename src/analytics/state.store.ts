import { duplicateKey, type Mongo } from "../db/mongo";
import { analyticsStateModel } from "./model";

/** What a day's salt becomes unless it has one already. */
interface DaySalt {
  day: string;
  fresh: Uint8Array;
  expiresAt: Date;
}
const saltId = (day: string): string => `salt:${day}`;

/** What all processes share for some time. */
export const createStateStore = (mongo: Mongo) => {
  const State = analyticsStateModel(mongo.connection);

  return {
    /** The salts of two days, the same for every process: `fresh` of a day that has none yet. */
    async daySalts<Name extends string>(days: Record<Name, DaySalt>): Promise<Record<Name, Uint8Array>> {
      const wanted = Object.entries<DaySalt>(days);
      const read = async () => {
        const rows = await State.find({ _id: { $in: wanted.map(([, { day }]) => saltId(day)) } }).lean();
        return new Map(rows.flatMap(({ _id, salt }) => (salt ? [[_id, new Uint8Array(salt.buffer)]] : [])));
      };
      let known = await read();
      const missing = wanted.filter(([, { day }]) => !known.has(saltId(day)));
      if (missing.length > 0) {
        // The first of all who write one at once is the one that stays.
        await State.insertMany(
          missing.map(([, { day, fresh, expiresAt }]) => ({
            _id: saltId(day),
            salt: Buffer.from(fresh),
            expiresAt,
          })),
          { ordered: false },
        ).catch((error) => {
          if (!duplicateKey(error)) throw error;
        });
        known = await read();
      }
      // One that ended between the calls: nobody will ever see this visitor again, which is what ending means.
      return Object.fromEntries(
        wanted.map(([name, { day, fresh }]) => [name, known.get(saltId(day)) ?? fresh]),
      ) as Record<Name, Uint8Array>;
    },

    removeExpired: (now: Date) => State.deleteMany({ expiresAt: { $lte: now } }),
  };
};

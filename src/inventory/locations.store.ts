import { guardIn } from "../db/guards";
import { duplicateKey, type Mongo, type MongoTx } from "../db/mongo";
import { AppError } from "../lib/errors";
import type { ExpectedVersions } from "../lib/versions";
import { type LocationDocument, locationModel } from "./model";

/** Most locations of an installation: each change of stock reads them. */
const MAX_LOCATIONS = 200;

/** Locations in MongoDB. */
export const createLocationStore = (mongo: Mongo) => {
  const Location = locationModel(mongo.connection);
  return {
    listLocations: (): Promise<LocationDocument[]> => Location.find().sort({ priority: 1, _id: 1 }).lean(),

    findLocation: (id: string, tx?: MongoTx): Promise<LocationDocument | null> =>
      Location.findById(id, null, mongo.in(tx)).lean(),

    findLocationByCode: (codeKey: string): Promise<LocationDocument | null> =>
      Location.findOne({ codeKey }).lean(),

    /** @throws AppError already_exists when the code is taken, conflict when there are too many */
    async createLocation(location: LocationDocument, tx: MongoTx): Promise<void> {
      await guardIn(mongo, "locations", tx);
      if ((await Location.countDocuments({}, mongo.in(tx))) >= MAX_LOCATIONS) {
        throw new AppError("conflict", `There are ${MAX_LOCATIONS} locations; more are not supported.`);
      }
      try {
        await Location.create([location], mongo.in(tx));
      } catch (error) {
        throw codeTaken(error) ?? error;
      }
    },

    /** Changes a location that (still) has the version. @returns it as it is now, or null when it has another */
    async updateLocation(
      id: string,
      expected: ExpectedVersions,
      set: Partial<Pick<LocationDocument, "code" | "codeKey" | "name" | "priority" | "active">> & {
        updatedAt: Date;
      },
      tx?: MongoTx,
    ): Promise<LocationDocument | null> {
      try {
        return await Location.findOneAndUpdate(
          { _id: id, ...(expected === undefined ? {} : { version: { $in: expected } }) },
          { $set: set, $inc: { version: 1 } },
          { ...mongo.in(tx), returnDocument: "after", runValidators: true, lean: true },
        );
      } catch (error) {
        throw codeTaken(error) ?? error;
      }
    },

    /** Deletes a location of this version that no level names. @returns false when there is none such */
    async deleteLocation(id: string, expected: ExpectedVersions, tx: MongoTx): Promise<boolean> {
      const filter = {
        _id: id,
        levelCount: 0,
        ...(expected === undefined ? {} : { version: { $in: expected } }),
      };
      return (await Location.deleteOne(filter, mongo.in(tx))).deletedCount === 1;
    },
  };
};

const codeTaken = (error: unknown): AppError | undefined =>
  duplicateKey(error)?.includes("codeKey")
    ? new AppError("already_exists", "A location with this code exists.", { cause: error })
    : undefined;

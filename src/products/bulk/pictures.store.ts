import type { Mongo } from "../../db/mongo";
import { type ImportPictureDocument, importPictureModel } from "./model";

/** The pictures that imports fetch, in MongoDB. */
export const createImportPictureStore = (mongo: Mongo) => {
  const Picture = importPictureModel(mongo.connection);
  return {
    /** Notes pictures to fetch; those that are noted already stay as they are. */
    async note(pictures: ImportPictureDocument[]): Promise<void> {
      if (pictures.length === 0) return;
      await Picture.bulkWrite(
        pictures.map(({ _id, ...fields }) => ({
          updateOne: { filter: { _id }, update: { $setOnInsert: fields }, upsert: true },
        })),
        { ordered: false },
      );
    },

    /** The next pictures of an import that nobody has tried, in the order of its file. */
    waiting: (importId: string, limit: number): Promise<ImportPictureDocument[]> =>
      Picture.find({ importId, state: "waiting" }).sort({ order: 1, _id: 1 }).limit(limit).lean(),

    /** Records what became of one. */
    settle: async (id: string, state: ImportPictureDocument["state"]): Promise<void> => {
      await Picture.updateOne({ _id: id }, { $set: { state } });
    },

    /** How many pictures of an import are in a state. */
    count: (importId: string, state: ImportPictureDocument["state"]): Promise<number> =>
      Picture.countDocuments({ importId, state }),

    remove: async (importId: string): Promise<void> => {
      await Picture.deleteMany({ importId });
    },
  };
};

export type ImportPictureStore = ReturnType<typeof createImportPictureStore>;

import { duplicateKey, type Mongo, type MongoTx } from "../../db/mongo";
import { AppError } from "../../errors";
import { type CategoryDocument, categoryModel, guardModel } from "./model";

/** Categories in MongoDB. */
export const createCategoryStore = (mongo: Mongo) => {
  const Category = categoryModel(mongo.connection);
  const Guard = guardModel(mongo.connection);
  return {
    findById: (id: string, tx?: MongoTx): Promise<CategoryDocument | null> =>
      Category.findById(id, null, mongo.in(tx)).lean(),

    findByPath: (path: string, tx?: MongoTx): Promise<CategoryDocument | null> =>
      Category.findOne({ path }, null, mongo.in(tx)).lean(),

    findByIds: (ids: string[], tx?: MongoTx): Promise<CategoryDocument[]> =>
      Category.find({ _id: { $in: ids } }, null, mongo.in(tx)).lean(),

    /** @returns false when a category with this path exists; only outside transactions */
    async create(category: CategoryDocument, tx?: MongoTx): Promise<boolean> {
      try {
        await Category.create([category], mongo.in(tx));
        return true;
      } catch (error) {
        if (tx !== undefined || !duplicateKey(error)) throw error;
        return false;
      }
    },

    /** The whole tree, parents before children. */
    all: (): Promise<CategoryDocument[]> => Category.find().sort({ path: 1 }).lean(),

    /** Everything below a category. */
    descendants: (id: string, tx?: MongoTx): Promise<CategoryDocument[]> =>
      Category.find({ ancestors: id }, null, mongo.in(tx)).lean(),

    hasChildren: async (id: string, tx: MongoTx): Promise<boolean> =>
      (await Category.exists({ parentId: id }).session(mongo.in(tx).session ?? null)) !== null,

    /** First in every transaction that changes the shape of the tree: of two at once one has to begin again. */
    async guard(tx: MongoTx): Promise<void> {
      try {
        await Guard.updateOne(
          { _id: "categories" },
          { $inc: { version: 1 } },
          { ...mongo.in(tx), upsert: true },
        );
      } catch (error) {
        // Two made it at the same moment, the first one ever.
        if (!duplicateKey(error)) throw error;
        throw new AppError("conflict", "Somebody else changed the categories at this moment. Try again.");
      }
    },

    /** Writes what changed in categories whose shape changed. */
    async reshape(
      changes: Pick<CategoryDocument, "_id" | "path" | "parentId" | "ancestors" | "slug" | "position">[],
      now: Date,
      tx: MongoTx,
    ): Promise<void> {
      await Category.bulkWrite(
        changes.map(({ _id, ...shape }) => ({
          updateOne: {
            filter: { _id },
            update: { $set: { ...shape, updatedAt: now }, $inc: { version: 1 } },
          },
        })),
        mongo.in(tx),
      );
    },

    /** Changes a category if it still has the version. @returns what it is now, or null when it has another */
    update: (
      id: string,
      version: number,
      change: Partial<Pick<CategoryDocument, "name" | "position" | "attributes">>,
      now: Date,
      tx: MongoTx,
    ): Promise<CategoryDocument | null> =>
      Category.findOneAndUpdate(
        { _id: id, version },
        { $set: { ...change, updatedAt: now }, $inc: { version: 1 } },
        { ...mongo.in(tx), returnDocument: "after", runValidators: true },
      ).lean(),

    remove: async (id: string, tx: MongoTx): Promise<void> => {
      await Category.deleteOne({ _id: id }, mongo.in(tx));
    },
  };
};

export type CategoryStore = ReturnType<typeof createCategoryStore>;

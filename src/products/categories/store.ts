import { duplicateKey, type Mongo, type MongoTx } from "../../db/mongo";
import { type CategoryDocument, categoryModel } from "./model";

/** Categories in MongoDB. */
export const createCategoryStore = (mongo: Mongo) => {
  const Category = categoryModel(mongo.connection);
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
  };
};

export type CategoryStore = ReturnType<typeof createCategoryStore>;

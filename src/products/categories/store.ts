import { guardIn } from "../../db/guards";
import type { Mongo, MongoTx } from "../../db/mongo";
import { type CategoryDocument, categoryModel } from "./model";

/** Categories in MongoDB. */
export const createCategoryStore = (mongo: Mongo) => {
  const Category = categoryModel(mongo.connection);
  return {
    /** A category that stands in the tree. */
    findById: (id: string, tx?: MongoTx): Promise<CategoryDocument | null> =>
      Category.findOne({ _id: id, mergedInto: null }, null, mongo.in(tx)).lean(),

    findByPath: (path: string, tx?: MongoTx): Promise<CategoryDocument | null> =>
      Category.findOne({ path }, null, mongo.in(tx)).lean(),

    /** The category of this slug that is nearest to the root, of several as near the first by its path. */
    async findBySlug(slug: string): Promise<CategoryDocument | null> {
      const found = await Category.find({ slug, mergedInto: null }).sort({ path: 1 }).lean();
      const depth = Math.min(...found.map(({ ancestors }) => ancestors.length));
      return found.find(({ ancestors }) => ancestors.length === depth) ?? null;
    },

    /** What ids of products stand for: a category, or the one that it was merged into; nothing when it is gone. */
    async findByIds(ids: string[], tx?: MongoTx): Promise<Map<string, CategoryDocument>> {
      const known = new Map<string, CategoryDocument>();
      for (let open = ids; open.length > 0; ) {
        const found = await Category.find({ _id: { $in: open } }, null, mongo.in(tx)).lean();
        for (const category of found) known.set(category._id, category);
        open = found.flatMap(({ mergedInto }) => mergedInto ?? []).filter((id) => !known.has(id));
      }
      const standing = (id: string): CategoryDocument | undefined => {
        const category = known.get(id);
        return category?.mergedInto === undefined ? category : standing(category.mergedInto);
      };
      return new Map(
        ids.flatMap((id) => {
          const category = standing(id);
          return category ? [[id, category] as const] : [];
        }),
      );
    },

    async create(category: CategoryDocument, tx?: MongoTx): Promise<void> {
      await Category.create([category], mongo.in(tx));
    },

    /** The whole tree, parents before children. */
    all: (): Promise<CategoryDocument[]> => Category.find({ mergedInto: null }).sort({ path: 1 }).lean(),

    /** What a menu shows of the whole tree. */
    outline: (): Promise<Pick<CategoryDocument, "_id" | "name" | "slug" | "parentId" | "position">[]> =>
      Category.find({ mergedInto: null }, { name: 1, slug: 1, parentId: 1, position: 1 }).lean(),

    /** Everything below a category, parents before children. */
    descendants: (id: string, tx?: MongoTx): Promise<CategoryDocument[]> =>
      Category.find({ ancestors: id }, null, mongo.in(tx)).sort({ path: 1 }).lean(),

    hasChildren: async (id: string, tx: MongoTx): Promise<boolean> =>
      (await Category.exists({ parentId: id }).session(mongo.in(tx).session ?? null)) !== null,

    /** First in every transaction that changes the shape of the tree: of two at once one has to begin again. */
    guard: (tx: MongoTx): Promise<void> => guardIn(mongo, "categories", tx),

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

    /** Takes a category out of the tree: it stands for `into` from now on, and so does what was merged into it. */
    async markMerged(id: string, into: string, now: Date, tx: MongoTx): Promise<void> {
      await Category.updateMany({ mergedInto: id }, { $set: { mergedInto: into } }, mongo.in(tx));
      await Category.updateOne(
        { _id: id },
        // No slug holds a "/": the path that it had is free.
        { $set: { mergedInto: into, path: `/${id}`, parentId: null, ancestors: [], updatedAt: now } },
        mongo.in(tx),
      );
    },

    isMerged: async (id: string): Promise<boolean> =>
      (await Category.exists({ _id: id, mergedInto: { $exists: true } })) !== null,

    /** The ids of what was merged into a category. */
    mergedInto: async (id: string, tx: MongoTx): Promise<string[]> =>
      (await Category.find({ mergedInto: id }, { _id: 1 }, mongo.in(tx)).lean()).map(({ _id }) => _id),

    remove: async (id: string, tx?: MongoTx): Promise<void> => {
      await Category.deleteOne({ _id: id }, mongo.in(tx));
    },
  };
};

export type CategoryStore = ReturnType<typeof createCategoryStore>;

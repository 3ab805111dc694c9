import type { Model } from "mongoose";
import { ANALYTICS_MODELS } from "../analytics/model";
import { INVENTORY_MODELS } from "../inventory/model";
import { jobModel } from "../jobs/mongo.store";
import { bulkFaultModel, bulkModel, checkpointModel, importPictureModel } from "../products/bulk/model";
import { categoryModel } from "../products/categories/model";
import { pictureModel } from "../products/images/model";
import { formerSlugModel, productModel } from "../products/model";
import { CURATION_MODELS } from "../products/search/curation/model";
import { SEARCH_MODELS } from "../products/search/model";
import { guardModel } from "./guards";
import { idempotencyModel } from "./idempotency.mongo";
import { MigrationError } from "./migrations";
import type { AnyModel } from "./model";
import type { Mongo } from "./mongo";

/** Every model of MongoDB: the deploy step makes its collection and indexes before the first request. */
const MODELS: readonly AnyModel[] = [
  productModel,
  formerSlugModel,
  pictureModel,
  bulkModel,
  bulkFaultModel,
  checkpointModel,
  importPictureModel,
  categoryModel,
  guardModel,
  idempotencyModel,
  jobModel,
  ...SEARCH_MODELS,
  ...CURATION_MODELS,
  ...INVENTORY_MODELS,
  ...ANALYTICS_MODELS,
] as const;

/** MongoDB's codes for an index that is there under the same name or keys, and otherwise defined. */
const DEFINED_OTHERWISE = [85, 86];

/** The indexes of a model's collection that the model does not name, or not as they are. */
const unusedOf = async (model: Model<unknown>): Promise<string[]> => (await model.diffIndexes()).toDrop;

/**
 * Indexes that this version does not name, as `collection.index`: those of an earlier version, whose copies may still
 * use them, or of a newer one.
 */
export async function unusedIndexes(mongo: Mongo): Promise<string[]> {
  const names: string[] = [];
  for (const model of MODELS) {
    const bound = model(mongo.connection) as Model<unknown>;
    for (const index of await unusedOf(bound)) names.push(`${bound.collection.collectionName}.${index}`);
  }
  return names;
}

/**
 * Makes collections and indexes that are missing. It only adds, so that copies of an earlier version go on with the
 * indexes that they use.
 * @param dropUnused drops first what `unusedIndexes` names
 * @returns the collections' names
 * @throws MigrationError when an index is there that this version defines otherwise
 */
export async function buildIndexes(mongo: Mongo, dropUnused = false): Promise<string[]> {
  const names: string[] = [];
  for (const model of MODELS) {
    const bound = model(mongo.connection) as Model<unknown>;
    const { collectionName } = bound.collection;
    await bound.createCollection();
    if (dropUnused) for (const index of await unusedOf(bound)) await bound.collection.dropIndex(index);
    const { toCreate } = await bound.diffIndexes({ indexOptionsToCreate: true });
    try {
      await bound.createIndexes({ toCreate } as object);
    } catch (cause) {
      const { code, message } = cause as { code?: number; message: string };
      if (!DEFINED_OTHERWISE.includes(code ?? 0)) throw cause;
      throw new MigrationError(
        `Collection ${collectionName} has an index that this version defines otherwise (${message}). When no copy of ` +
          "an earlier version runs any more, run `bun run migrate --drop-unused-indexes` " +
          "(`bun dist/src/db/migrate.js --drop-unused-indexes`), which makes it anew.",
        { cause },
      );
    }
    names.push(collectionName);
  }
  return names;
}

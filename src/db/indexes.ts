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

/**
 * Makes collections and indexes that are missing and drops indexes the schemas no longer name.
 * @returns the collections' names
 */
export async function syncIndexes(mongo: Mongo): Promise<string[]> {
  const names: string[] = [];
  for (const model of MODELS) {
    const bound = model(mongo.connection) as Model<unknown>;
    await bound.createCollection();
    await bound.syncIndexes();
    names.push(bound.collection.collectionName);
  }
  return names;
}

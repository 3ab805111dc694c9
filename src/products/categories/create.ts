import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import { newCategory, pathTaken, requireCategory } from "./rules";
import type { CategoryResponse, CreateCategory } from "./schema";

/** Creates a category. @throws AppError not_found (the parent), already_exists, invalid_input */
export async function createCategory(
  deps: ProductDeps,
  { parentId, ...input }: CreateCategory,
  record: RecordAnswer<MongoTx>,
): Promise<CategoryResponse> {
  const id = deps.random.id();
  return deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    const parent = parentId ? await requireCategory(deps, parentId, tx) : null;
    const made = { ...newCategory(deps, parent, input, input.slug === undefined ? "name" : "slug"), _id: id };
    if (await deps.categories.findByPath(made.path, tx)) throw pathTaken(made.path);
    await deps.categories.create(made, tx);
    const response = toCategoryResponse(made);
    await record(tx, response);
    return response;
  });
}

import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import { newCategory, pathTaken, requireCategory } from "./rules";
import type { CategoryResponse, CreateCategory } from "./schema";

/** Creates a category; `manager` is null for the system. @throws AppError not_found (the parent), already_exists, invalid_input */
export async function createCategory(
  deps: ProductDeps,
  manager: Manager | null,
  { parentId, ...input }: CreateCategory,
  record: RecordAnswer<MongoTx>,
): Promise<CategoryResponse> {
  const id = deps.random.id();
  const audit = managedEntry(deps, manager, "category.created");
  return mutate(deps, "mongo", { audit, record }, async (tx, { tell }) => {
    await deps.categories.guard(tx);
    const parent = parentId ? await requireCategory(deps, parentId, tx) : null;
    const made = { ...newCategory(deps, parent, input, input.slug === undefined ? "name" : "slug"), _id: id };
    if (await deps.categories.findByPath(made.path, tx)) throw pathTaken(made.path);
    await deps.categories.create(made, tx);
    tell({ id, name: made.name, path: made.path });
    return toCategoryResponse(made);
  });
}

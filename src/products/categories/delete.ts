import { type Manager, managedEntry, mutate } from "../../audit";
import { AppError } from "../../lib/errors";
import type { ProductDeps } from "../deps";
import { mergeCategory } from "./merge";
import { newTreeJobs, updateTreesBelow } from "./product-trees";
import { requireCategory } from "./rules";

/**
 * Deletes a category that is empty, or moves what is in it first. Deleted products do not count: they are taken
 * out of it. @throws AppError not_found, conflict when something is in it and no target is named
 */
export async function deleteCategory(
  deps: ProductDeps,
  manager: Manager | null,
  id: string,
  moveTo: string | undefined,
): Promise<void> {
  if (moveTo !== undefined) {
    await mergeCategory(deps, manager, id, moveTo);
    return;
  }
  const ids = newTreeJobs(deps);
  const audit = managedEntry(deps, manager, "category.deleted");
  await mutate(deps, "mongo", { audit }, async (tx, { tell }) => {
    await deps.categories.guard(tx);
    const { name, path } = await requireCategory(deps, id, tx);
    tell({ id, name, path });
    if (
      (await deps.categories.hasChildren(id, tx)) ||
      (await deps.products.isInCategories([id, ...(await deps.categories.mergedInto(id, tx))], tx))
    ) {
      throw new AppError(
        "conflict",
        "The category is not empty. Name another with moveTo, or empty it first.",
      );
    }
    await deps.categories.remove(id, tx);
    // A product that was being put into it at this moment is taken out of it.
    await updateTreesBelow(deps, id, ids, tx);
  });
}

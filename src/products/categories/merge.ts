import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import { AppError } from "../../lib/errors";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import type { CategoryDocument } from "./model";
import { relocate } from "./move";
import { newTreeJobs, updateTreesBelow } from "./product-trees";
import { requireCategory } from "./rules";
import type { CategoryResponse } from "./schema";

/**
 * Moves products and children of a category into another one and removes it, in one transaction. A job
 * moves what is more than some hundred products: the category has left the tree by then and stands for the target (see
 * `CategoryDocument.mergedInto`), until the last job has seen that no product names it.
 * @throws AppError not_found, conflict, already_exists when both have a child of one name, invalid_input when a
 * child would be too deep
 */
export async function mergeCategory(
  deps: ProductDeps,
  manager: Manager | null,
  id: string,
  into: string,
  record: RecordAnswer<MongoTx> = async () => undefined,
): Promise<CategoryResponse> {
  const ids = newTreeJobs(deps);
  const audit = managedEntry(deps, manager, "category.merged");
  return mutate(deps, "mongo", { audit, record }, async (tx, { tell }) => {
    await deps.categories.guard(tx);
    const category = await requireCategory(deps, id, tx);
    const target = await requireCategory(deps, into, tx);
    if (target._id === id || target.ancestors.includes(id)) {
      throw new AppError("conflict", "A category cannot be merged into itself or into one of its own.");
    }
    const children = (await deps.categories.descendants(id, tx)).filter(({ parentId }) => parentId === id);
    await deps.categories.markMerged(id, into, deps.clock.now(), tx);
    // A child of the category's own slug may take its place, which the other children have left by then.
    const last = ({ slug }: CategoryDocument) => Number(slug === category.slug);
    for (const child of children.toSorted((one, other) => last(one) - last(other))) {
      await relocate(deps, child, target, { slug: child.slug, position: child.position }, tx);
    }
    await updateTreesBelow(deps, id, ids, tx);
    tell({ id, name: category.name, path: category.path, into, intoPath: target.path });
    return toCategoryResponse(target);
  });
}

/** Removes a category that was merged, once no product names it. @returns false while one does */
export async function removeMerged(deps: ProductDeps, id: string): Promise<boolean> {
  if (!(await deps.categories.isMerged(id))) return true;
  if ((await deps.products.below(id, null, 1)).length > 0) return false;
  await deps.categories.remove(id);
  return true;
}

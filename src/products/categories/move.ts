import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import { AppError } from "../../lib/errors";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import type { CategoryDocument } from "./model";
import { newTreeJobs, updateTreesBelow } from "./product-trees";
import { MAX_DEPTH, pathTaken, requireCategory, tooDeep } from "./rules";
import type { CategoryResponse, MoveCategory } from "./schema";

/**
 * Moves a category and everything below it in the transaction of `tx`.
 * @throws AppError conflict (under its own), already_exists, invalid_input when it would be too deep
 */
export async function relocate(
  deps: ProductDeps,
  category: CategoryDocument,
  parent: CategoryDocument | null,
  change: { slug: string; position: number },
  tx: MongoTx,
): Promise<CategoryDocument> {
  if (parent && (parent._id === category._id || parent.ancestors.includes(category._id))) {
    throw new AppError("conflict", "A category cannot be moved under itself or under one of its own.");
  }
  const descendants = await deps.categories.descendants(category._id, tx);
  const ancestors = parent === null ? [] : [...parent.ancestors, parent._id];
  const path = parent === null ? change.slug : `${parent.path}/${change.slug}`;
  const height = Math.max(0, ...descendants.map((one) => one.ancestors.length - category.ancestors.length));
  if (ancestors.length + 1 + height > MAX_DEPTH) {
    throw tooDeep();
  }
  const there = await deps.categories.findByPath(path, tx);
  if (there && there._id !== category._id) throw pathTaken(path);
  const moved = { ...category, ...change, path, parentId: parent?._id ?? null, ancestors };
  const shapes = [
    moved,
    ...descendants.map((one) => ({
      ...one,
      path: path + one.path.slice(category.path.length),
      ancestors: [...ancestors, ...one.ancestors.slice(category.ancestors.length)],
    })),
  ].map(({ _id, path: to, parentId, ancestors: above, slug, position }) => ({
    _id,
    path: to,
    parentId,
    ancestors: above,
    slug,
    position,
  }));
  await deps.categories.reshape(shapes, deps.clock.now(), tx);
  return { ...moved, version: category.version + 1 };
}

/**
 * Moves a category with everything below it. Nobody sees it half done: the categories move in one transaction.
 * @throws AppError not_found, conflict (under its own), already_exists, precondition_failed, invalid_input
 */
export async function moveCategory(
  deps: ProductDeps,
  manager: Manager | null,
  id: string,
  { parentId, position }: MoveCategory,
  expected: ExpectedVersions,
  record: RecordAnswer<MongoTx>,
): Promise<CategoryResponse> {
  const ids = newTreeJobs(deps);
  const audit = managedEntry(deps, manager, "category.moved");
  return mutate(deps, "mongo", { audit, record }, async (tx, { tell }) => {
    await deps.categories.guard(tx);
    const category = await requireCategory(deps, id, tx);
    expectVersion(expected, category.version);
    const parent = parentId === null ? null : await requireCategory(deps, parentId, tx);
    const change = { slug: category.slug, position: position ?? category.position };
    const moved = await relocate(deps, category, parent, change, tx);
    await updateTreesBelow(deps, id, ids, tx);
    tell({ id, name: category.name, from: category.path, path: moved.path });
    return toCategoryResponse(moved);
  });
}

import type { MongoTx } from "../../db/mongo";
import type { Deps } from "../../deps";
import type { RecordAnswer } from "../../http/idempotency";
import { after, SECOND } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import { canonicalKey, cleanText, slugify } from "../../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../../lib/versions";
import type { PlantedProduct } from "../store";
import type { CategoryDocument } from "./model";
import type { CategoryResponse, ChangeCategory, CreateCategory, MoveCategory } from "./schema";

/** Levels a category may lie deep. */
export const MAX_DEPTH = 8;
/** Products whose tree is written in the transaction of a change; more are brought up to it by a job. */
const AT_ONCE = 500;
/** After this a job looks again for products that were written while the tree changed. */
const LOOK_AGAIN = 20 * SECOND;

export const toCategoryResponse = (category: CategoryDocument): CategoryResponse => ({
  id: category._id,
  name: category.name,
  slug: category.slug,
  path: category.path,
  parentId: category.parentId,
  ancestors: category.ancestors,
  depth: category.ancestors.length + 1,
  position: category.position,
  attributes: (category.attributes ?? []).map(({ key, type, unit, values }) => ({ key, type, unit, values })),
  version: category.version,
});

export const noCategory = () => new AppError("not_found", "There is no such category.");
const taken = (path: string) => new AppError("already_exists", `There is a category ${path} already.`);

async function requireCategory(deps: Deps, id: string, tx?: MongoTx): Promise<CategoryDocument> {
  const category = await deps.categories.findById(id, tx);
  if (!category) throw noCategory();
  return category;
}

/** @throws AppError invalid_input for a name without a letter or digit */
function slugOf(name: string, field: string): string {
  const slug = slugify(name);
  if (slug === "")
    throw invalidInput(field, "invalid_format", `"${name.slice(0, 50)}" has no letter or digit`);
  return slug;
}

/** A new category below `parent`. @throws AppError invalid_input when it would lie too deep */
function below(
  deps: Deps,
  parent: CategoryDocument | null,
  input: Omit<CreateCategory, "parentId">,
  field: string,
): CategoryDocument {
  const slug = slugOf(input.slug ?? input.name, field);
  const ancestors = parent === null ? [] : [...parent.ancestors, parent._id];
  if (ancestors.length >= MAX_DEPTH) {
    throw invalidInput("parentId", "too_deep", `would lie deeper than ${MAX_DEPTH} levels`);
  }
  const now = deps.clock.now();
  return {
    _id: deps.random.id(),
    name: cleanText(input.name),
    slug,
    path: parent === null ? slug : `${parent.path}/${slug}`,
    parentId: parent?._id ?? null,
    ancestors,
    position: input.position ?? 0,
    attributes: (input.attributes ?? []).map(({ key, type, unit, values }) => ({
      key,
      type,
      unit: unit ?? null,
      values: values ?? [],
    })),
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
}

/** Makes a category that is missing, or finds it; null when its parent has moved or gone. */
type Make = (deps: Deps, category: CategoryDocument) => Promise<CategoryDocument | null>;

/** How often a path is made from the top again when its categories move at the same moment. */
const PATH_TRIES = 5;

/**
 * The category at the end of a path of names, made with all that are missing on the way. Safe when many do it
 * at once, because a path is unique.
 * @param make what is done about one that is missing; a dry run makes none
 * @throws AppError invalid_input for a path that is empty, deeper than eight, or has a name without letters;
 * conflict when others keep moving what is on it
 */
export async function ensureCategoryPath(
  deps: Deps,
  names: string[],
  make: Make = makeCategory,
): Promise<CategoryDocument> {
  if (names.length === 0 || names.length > MAX_DEPTH) {
    throw invalidInput(
      "categories",
      "too_deep",
      `must name 1 to ${MAX_DEPTH} categories, one inside the other`,
    );
  }
  for (let attempt = 1; attempt <= PATH_TRIES; attempt++) {
    const last = await walkPath(deps, names, make);
    if (last) return last;
  }
  throw new AppError("conflict", "Somebody else keeps moving the categories of this path. Try again.");
}

/** @returns null when a category of the path moved or went meanwhile */
async function walkPath(deps: Deps, names: string[], make: Make): Promise<CategoryDocument | null> {
  let parent: CategoryDocument | null = null;
  for (const name of names) {
    const made: CategoryDocument = below(deps, parent, { name }, "categories");
    parent = (await deps.categories.findByPath(made.path)) ?? (await make(deps, made));
    if (parent === null) return null;
  }
  return parent;
}

const makeCategory: Make = (deps, made) =>
  deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    const present = await deps.categories.findByPath(made.path, tx);
    if (present) return present;
    if (made.parentId !== null) {
      const parent = await deps.categories.findById(made.parentId, tx);
      const there =
        made.path === `${parent?.path}/${made.slug}` &&
        made.ancestors.join() === [...(parent?.ancestors ?? []), made.parentId].join();
      if (!there) return null;
    }
    await deps.categories.create(made, tx);
    return made;
  });

/** Makes a category. @throws AppError not_found (the parent), already_exists, invalid_input */
export async function createCategory(
  deps: Deps,
  { parentId, ...input }: CreateCategory,
  record: RecordAnswer<MongoTx>,
): Promise<CategoryResponse> {
  const id = deps.random.id();
  return deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    const parent = parentId ? await requireCategory(deps, parentId, tx) : null;
    const made = { ...below(deps, parent, input, input.slug === undefined ? "name" : "slug"), _id: id };
    if (await deps.categories.findByPath(made.path, tx)) throw taken(made.path);
    await deps.categories.create(made, tx);
    const response = toCategoryResponse(made);
    await record(tx, response);
    return response;
  });
}

/** What is done after a change of the tree: nothing, or a job for what did not fit. */
interface Followup {
  jobId: string;
  lateJobId: string;
}

const followup = (deps: Deps): Followup => ({ jobId: deps.random.id(), lateJobId: deps.random.id() });

/**
 * Writes where the products below a category stand in the tree: some in this transaction, more by a job. A
 * second job looks again later, for products that were being written while the tree changed.
 */
async function replant(deps: Deps, categoryId: string, ids: Followup, tx: MongoTx): Promise<void> {
  const now = deps.clock.now();
  const job = { kind: "categories.replant", payload: { categoryId } };
  const products = await deps.products.below(categoryId, null, AT_ONCE + 1, tx);
  if (products.length <= AT_ONCE) await plant(deps, products, tx);
  else await deps.jobs.mongo.enqueue({ id: ids.jobId, ...job, runAt: now }, tx);
  const late = { ...job, payload: { categoryId, late: true } };
  await deps.jobs.mongo.enqueue({ id: ids.lateJobId, ...late, runAt: after(now, LOOK_AGAIN) }, tx);
}

/** Where a product in these categories stands in the tree: each once, since two ids may stand for one. */
export const placeIn = (categories: CategoryDocument[]) => ({
  categoryIds: [...new Set(categories.map(({ _id }) => _id))],
  categoryTree: [...new Set(categories.flatMap(({ _id, ancestors }) => [...ancestors, _id]))],
});

/**
 * Gives products the categories above their own, as they are now; instead of one that was merged, the one that it
 * was merged into.
 * @returns false when somebody changed one of them since it was read: read it again
 */
export async function plant(deps: Deps, products: PlantedProduct[], tx?: MongoTx): Promise<boolean> {
  const known = await deps.categories.findByIds(
    [...new Set(products.flatMap(({ categoryIds }) => categoryIds))],
    tx,
  );
  const changes = products.flatMap((product) => {
    // A category that was deleted while the product was put into it is left out.
    const own = product.categoryIds.flatMap((id) => known.get(id) ?? []);
    const { categoryIds: ids, categoryTree: tree } = placeIn(own);
    const edited = ids.join() !== product.categoryIds.join();
    const same =
      tree.length === product.categoryTree.length && tree.every((id) => product.categoryTree.includes(id));
    if (same && !edited) return [];
    const { _id: id, version } = product;
    return [{ id, version, ...(edited ? { categoryIds: ids } : {}), categoryTree: tree }];
  });
  return changes.length === 0 || (await deps.products.setTrees(changes, tx)) === 0;
}

/** Puts a category and everything below it at another place, in the transaction of `tx`. */
async function transplant(
  deps: Deps,
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
    throw invalidInput("parentId", "too_deep", `would lie deeper than ${MAX_DEPTH} levels`);
  }
  const there = await deps.categories.findByPath(path, tx);
  if (there && there._id !== category._id) throw taken(path);
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
  deps: Deps,
  id: string,
  { parentId, position }: MoveCategory,
  expected: ExpectedVersions,
  record: RecordAnswer<MongoTx>,
): Promise<CategoryResponse> {
  const ids = followup(deps);
  const response = await deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    const category = await requireCategory(deps, id, tx);
    expectVersion(expected, category.version);
    const parent = parentId === null ? null : await requireCategory(deps, parentId, tx);
    const change = { slug: category.slug, position: position ?? category.position };
    const moved = await transplant(deps, category, parent, change, tx);
    await replant(deps, id, ids, tx);
    const made = toCategoryResponse(moved);
    await record(tx, made);
    return made;
  });
  deps.jobs.wake();
  return response;
}

/**
 * Changes a category's name, slug, place among its siblings, or what its products may say of themselves. Another
 * slug changes the paths below.
 * @throws AppError not_found, precondition_failed, already_exists, invalid_input
 */
export async function changeCategory(
  deps: Deps,
  id: string,
  { slug, attributes, name, position }: ChangeCategory,
  expected: ExpectedVersions,
): Promise<CategoryResponse> {
  const jobId = deps.random.id();
  const response = await deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    const category = await requireCategory(deps, id, tx);
    expectVersion(expected, category.version);
    let present = category;
    if (slug !== undefined && canonicalKey(slug) !== category.slug) {
      const parent = category.parentId === null ? null : await requireCategory(deps, category.parentId, tx);
      const change = { slug: slugOf(slug, "slug"), position: category.position };
      present = await transplant(deps, category, parent, change, tx);
    }
    const changed = await deps.categories.update(
      id,
      present.version,
      {
        ...(name === undefined ? {} : { name }),
        ...(position === undefined ? {} : { position }),
        ...(attributes === undefined
          ? {}
          : {
              attributes: attributes.map(({ key, type, unit, values }) => ({
                key,
                type,
                unit: unit ?? null,
                values: values ?? [],
              })),
            }),
      },
      deps.clock.now(),
      tx,
    );
    if (!changed) throw staleVersion(present.version);
    // Products are found by the names of their categories.
    if (changed.name !== category.name) {
      const job = { id: jobId, kind: "categories.reindex", payload: { categoryId: id } };
      await deps.jobs.mongo.enqueue({ ...job, runAt: deps.clock.now() }, tx);
    }
    return toCategoryResponse(changed);
  });
  deps.jobs.wake();
  return response;
}

/**
 * Moves products and children of a category into another one and removes it, in one transaction. Of very many
 * products a job moves the rest: the category has left the tree then and stands for the target (see
 * `CategoryDocument.mergedInto`), until the last job has seen that no product names it.
 * @throws AppError not_found, conflict, already_exists when both have a child of one name, invalid_input when a
 * child would lie too deep
 */
export async function mergeCategory(
  deps: Deps,
  id: string,
  into: string,
  record: RecordAnswer<MongoTx> = async () => undefined,
): Promise<CategoryResponse> {
  const ids = followup(deps);
  const response = await deps.mongo.transaction(async (tx) => {
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
      await transplant(deps, child, target, { slug: child.slug, position: child.position }, tx);
    }
    await replant(deps, id, ids, tx);
    const made = toCategoryResponse(target);
    await record(tx, made);
    return made;
  });
  deps.jobs.wake();
  return response;
}

/** Removes a category that was merged, once no product names it. @returns false while one does */
export async function removeMerged(deps: Deps, id: string): Promise<boolean> {
  if (!(await deps.categories.isMerged(id))) return true;
  if ((await deps.products.below(id, null, 1)).length > 0) return false;
  await deps.categories.remove(id);
  return true;
}

/**
 * Deletes a category that is empty, or moves what is in it first. Deleted products do not count: they are taken
 * out of it. @throws AppError not_found, conflict when something is in it and no target is named
 */
export async function deleteCategory(deps: Deps, id: string, moveTo: string | undefined): Promise<void> {
  if (moveTo !== undefined) {
    await mergeCategory(deps, id, moveTo);
    return;
  }
  const ids = followup(deps);
  await deps.mongo.transaction(async (tx) => {
    await deps.categories.guard(tx);
    await requireCategory(deps, id, tx);
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
    await replant(deps, id, ids, tx);
  });
  deps.jobs.wake();
}

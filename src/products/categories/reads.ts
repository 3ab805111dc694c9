import { isId, searchKey } from "../../lib/text";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import type { CategoryDocument } from "./model";
import { noCategory } from "./rules";
import type { CategoryResponse, MenuItemResponse } from "./schema";

type InTree = Pick<CategoryDocument, "_id" | "name" | "parentId" | "position">;

/** The children of each category by its id, siblings by their position, then by name as people read it. */
function siblingsOf<Kind extends InTree>(all: Kind[]): (parentId: string | null) => Kind[] {
  const there = new Set(all.map(({ _id }) => _id));
  const sorted = all
    .map((category) => ({ category, key: searchKey(category.name) }))
    .sort(
      (a, b) =>
        a.category.position - b.category.position ||
        (a.key < b.key ? -1 : a.key > b.key ? 1 : a.category._id < b.category._id ? -1 : 1),
    )
    .map(({ category }) => category);
  // One whose parent moved between two reads stands at the top.
  const below = Map.groupBy(sorted, ({ parentId }) =>
    parentId !== null && there.has(parentId) ? parentId : null,
  );
  return (parentId) => below.get(parentId) ?? [];
}

/** The whole tree as a list, each category before what is below it, siblings as in a menu. */
export async function listCategories(deps: ProductDeps) {
  const [all, counts] = await Promise.all([deps.categories.all(), deps.counts.categories()]);
  const below = siblingsOf(all);
  const withBelow = (category: CategoryDocument): CategoryDocument[] => [
    category,
    ...below(category._id).flatMap(withBelow),
  ];
  return below(null)
    .flatMap(withBelow)
    .map((category) => ({ ...toCategoryResponse(category), count: counts.get(category._id) ?? 0 }));
}

/**
 * A category by its id, its path or its slug, in canonical form. A path goes before a slug; of several categories
 * with one slug it is the one nearest to the root.
 */
export async function findCategory(deps: ProductDeps, key: string): Promise<CategoryDocument | null> {
  if (isId(key)) return deps.categories.findById(key);
  return (await deps.categories.findByPath(key)) ?? (await deps.categories.findBySlug(key));
}

/** @throws AppError not_found */
export async function readCategory(deps: ProductDeps, key: string): Promise<CategoryResponse> {
  const category = await findCategory(deps, key);
  if (!category) throw noCategory();
  return toCategoryResponse(category);
}

/** The tree with what a menu shows: siblings by their position, then by name. */
export async function readMenu(deps: ProductDeps): Promise<MenuItemResponse[]> {
  const [all, counts] = await Promise.all([deps.categories.outline(), deps.counts.categories()]);
  const below = siblingsOf(all);
  const itemsOf = (parentId: string | null): MenuItemResponse[] =>
    below(parentId).map(({ _id: id, name, slug }) => {
      const children = itemsOf(id);
      return { id, name, slug, count: counts.get(id) ?? 0, ...(children.length === 0 ? {} : { children }) };
    });
  return itemsOf(null);
}

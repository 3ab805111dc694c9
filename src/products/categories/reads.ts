import { canonicalKey, isId } from "../../lib/text";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import type { CategoryDocument } from "./model";
import { noCategory } from "./rules";
import type { CategoryResponse, MenuItemResponse } from "./schema";

/** The whole tree as a list, parents before children. */
export async function listCategories(deps: ProductDeps) {
  const [all, counts] = await Promise.all([deps.categories.all(), deps.counts.categories()]);
  return all.map((category) => ({
    ...toCategoryResponse(category),
    count: counts.get(category._id) ?? 0,
  }));
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
  const below = Map.groupBy(all, ({ parentId }) => parentId);
  const itemsOf = (parentId: string | null): MenuItemResponse[] =>
    (below.get(parentId) ?? [])
      .map((category) => ({ category, key: canonicalKey(category.name) }))
      .sort((a, b) => a.category.position - b.category.position || (a.key < b.key ? -1 : 1))
      .map(({ category: { _id: id, name, slug } }) => {
        const children = itemsOf(id);
        return { id, name, slug, count: counts.get(id) ?? 0, ...(children.length === 0 ? {} : { children }) };
      });
  return itemsOf(null);
}

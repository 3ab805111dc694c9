import { cleanText, slugify } from "../../canonical";
import type { Deps } from "../../deps";
import { invalidInput } from "../../errors";
import type { CategoryDocument } from "./model";

/** Levels a category may lie deep. */
export const MAX_DEPTH = 8;

/** A category as the API shows it. */
export interface CategoryResponse {
  id: string;
  name: string;
  slug: string;
  path: string;
  parentId: string | null;
  depth: number;
}

export const toCategoryResponse = (category: CategoryDocument): CategoryResponse => ({
  id: category._id,
  name: category.name,
  slug: category.slug,
  path: category.path,
  parentId: category.parentId,
  depth: category.ancestors.length + 1,
});

/**
 * The category at the end of a path of names, made with all that are missing on the way. Safe when many do it
 * at once, because a path is unique.
 * @throws AppError invalid_input for a path that is empty, deeper than eight, or has a name without letters
 */
export async function ensureCategoryPath(deps: Deps, names: string[]): Promise<CategoryDocument> {
  if (names.length === 0 || names.length > MAX_DEPTH) {
    throw invalidInput("categories", "depth", `must name 1 to ${MAX_DEPTH} categories, one inside the other`);
  }
  let parent: CategoryDocument | null = null;
  for (const name of names) {
    const slug = slugify(name);
    if (slug === "")
      throw invalidInput("categories", "name", `"${name.slice(0, 50)}" has no letter or digit`);
    const path: string = parent === null ? slug : `${parent.path}/${slug}`;
    let category = await deps.categories.findByPath(path);
    if (!category) {
      const now = deps.clock.now();
      const made: CategoryDocument = {
        _id: deps.random.id(),
        name: cleanText(name),
        slug,
        path,
        parentId: parent?._id ?? null,
        ancestors: parent === null ? [] : [...parent.ancestors, parent._id],
        position: 0,
        version: 1,
        createdAt: now,
        updatedAt: now,
      };
      category = (await deps.categories.create(made)) ? made : await deps.categories.findByPath(path);
    }
    if (!category) throw new Error(`category ${path} vanished while it was made`);
    parent = category;
  }
  if (parent === null) throw new Error("unreachable: names is not empty");
  return parent;
}

/** The whole tree as a list, parents before children. */
export async function listCategories(deps: Deps): Promise<CategoryResponse[]> {
  return (await deps.categories.all()).map(toCategoryResponse);
}

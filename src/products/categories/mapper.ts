import type { CategoryDocument } from "./model";
import type { CategoryResponse } from "./schema";

/** A category as the API answers it. */
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

/** What every change of a category keeps to. */
import type { MongoTx } from "../../db/mongo";
import { AppError, invalidInput } from "../../lib/errors";
import { cleanText, slugify } from "../../lib/text";
import type { ProductDeps } from "../deps";
import type { AttributeDefinition, CategoryDocument } from "./model";
import type { CreateCategory } from "./schema";

/** Levels of categories. */
export const MAX_DEPTH = 8;

export const noCategory = () => new AppError("not_found", "There is no such category.");
export const pathTaken = (path: string) =>
  new AppError("already_exists", `There is a category ${path} already.`);
export const tooDeep = () => invalidInput("parentId", "too_deep", `would be deeper than ${MAX_DEPTH} levels`);

/** @throws AppError not_found */
export async function requireCategory(
  { categories }: Pick<ProductDeps, "categories">,
  id: string,
  tx?: MongoTx,
): Promise<CategoryDocument> {
  const category = await categories.findById(id, tx);
  if (!category) throw noCategory();
  return category;
}

/** @throws AppError invalid_input for a name without a letter or digit */
export function slugOf(name: string, field: string): string {
  const slug = slugify(name);
  if (slug === "")
    throw invalidInput(field, "invalid_format", `"${name.slice(0, 50)}" has no letter or digit`);
  return slug;
}

/** Definitions of attributes as they are stored. */
export const attributesOf = (given: CreateCategory["attributes"]): AttributeDefinition[] =>
  (given ?? []).map(({ key, type, unit, values }) => ({
    key,
    type,
    unit: unit ?? null,
    values: values ?? [],
  }));

/**
 * A new category in `parent`.
 * @param field the field that its slug comes from
 * @throws AppError invalid_input when it would be too deep
 */
export function newCategory(
  { clock, random }: Pick<ProductDeps, "clock" | "random">,
  parent: CategoryDocument | null,
  input: Omit<CreateCategory, "parentId">,
  field: string,
): CategoryDocument {
  const slug = slugOf(input.slug ?? input.name, field);
  const ancestors = parent === null ? [] : [...parent.ancestors, parent._id];
  if (ancestors.length >= MAX_DEPTH) throw tooDeep();
  const now = clock.now();
  return {
    _id: random.id(),
    name: cleanText(input.name),
    slug,
    path: parent === null ? slug : `${parent.path}/${slug}`,
    parentId: parent?._id ?? null,
    ancestors,
    position: input.position ?? 0,
    attributes: attributesOf(input.attributes),
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
}

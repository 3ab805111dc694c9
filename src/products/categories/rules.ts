import { createHash } from "node:crypto";
/** What every change of a category keeps to. */
import type { MongoTx } from "../../db/mongo";
import { AppError, invalidInput } from "../../lib/errors";
import { canonicalKey, cleanText, slugify, suffixSlug } from "../../lib/text";
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
  tx: MongoTx,
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

/**
 * The slug of a category whose name gives a slug that a sibling of another name has: always the same one, so that the
 * category is found again.
 */
export const otherSlugOf = (name: string): string =>
  suffixSlug(slugify(name), createHash("sha256").update(canonicalKey(name)).digest("hex").slice(0, 6));

/**
 * Whether a name stands for this category: its own, or its slug where the name would give another one or differs from
 * the slug in spaces and signs alone ("home-garden" for "Home & Garden"). "C" is not "C++", nor "cafe" "Café".
 */
export function isNamed(category: Pick<CategoryDocument, "name" | "slug">, wanted: string): boolean {
  const { name, slug } = category;
  if (canonicalKey(name) === canonicalKey(wanted)) return true;
  if (canonicalKey(wanted) !== slug) return false;
  const joined = canonicalKey(name).replace(/[^\p{L}\p{N}\p{M}]+/gu, "-");
  return !namesItself(category) || (slug.includes("-") && joined === slug);
}

/** Whether a path of names leads to a category of this slug by its name. */
export const namesItself = ({ name, slug }: Pick<CategoryDocument, "name" | "slug">): boolean =>
  slugify(name) === slug || otherSlugOf(name) === slug;

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

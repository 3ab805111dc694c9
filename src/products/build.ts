import { invalidInput } from "../lib/errors";
import { canonicalKey, searchKey, slugify, suffixSlug } from "../lib/text";
import type { CategoryDocument } from "./categories/model";
import { pickEach } from "./categories/place";
import { placeIn } from "./categories/product-trees";
import type { ProductDeps } from "./deps";
import { attrKeyOf } from "./filters";
import type { AttributeDocument, ProductDocument, VariantDocument } from "./model";
import { isReserved } from "./reserved";
import type { CreateProduct } from "./schema";
import { shownOf } from "./shown";

const TWICE = "is there twice in this product";

/** What two variants of a product may not share: their options, in any order and spelling. */
export const optionKey = (options: VariantDocument["options"]): string =>
  JSON.stringify(options.map(({ name, value }) => [canonicalKey(name), canonicalKey(value)]).sort());

/**
 * Holds that no two variants have the same options, by which buyers tell them apart; those without any are told apart
 * by their names.
 * @throws AppError invalid_input
 */
export function checkOptions(variants: { options?: VariantDocument["options"] | undefined }[]): void {
  const seen = new Set<string>();
  for (const [index, { options = [] }] of variants.entries()) {
    const key = optionKey(options);
    if (options.length > 0 && seen.has(key)) {
      throw invalidInput(`variants.${index}.options`, "duplicate", "are those of another variant");
    }
    seen.add(key);
  }
}

/**
 * The ids of the variants of an input, which are those of the variants that are meant: by id, or else by SKU.
 * @throws AppError invalid_input for an id that no variant of the product has, or that is there twice
 */
function keepIds(
  variants: VariantDocument[],
  given: { id?: string | undefined }[],
  present: VariantDocument[],
): VariantDocument[] {
  const free = new Map(present.map((variant) => [variant._id, variant]));
  for (const [index, { id }] of given.entries()) {
    if (id === undefined || free.delete(id)) continue;
    const isTwice = present.some(({ _id }) => _id === id);
    throw isTwice
      ? invalidInput(`variants.${index}.id`, "duplicate", TWICE)
      : invalidInput(`variants.${index}.id`, "not_found", "is not the id of a variant of this product");
  }
  const bySku = new Map([...free.values()].map(({ skuKey, _id }) => [skuKey, _id]));
  return variants.map((variant, index) => ({
    ...variant,
    _id: given[index]?.id ?? bySku.get(variant.skuKey) ?? variant._id,
  }));
}

/** The variants of an input; a price alone makes one, with a SKU from the product's id. */
function variantsOf(deps: ProductDeps, id: string, input: CreateProduct): VariantDocument[] {
  const currency = input.currency ?? deps.config.defaultCurrency;
  const given: NonNullable<CreateProduct["variants"]> = input.variants ?? [
    { sku: `P-${id.replaceAll("-", "").slice(-12).toUpperCase()}`, price: input.price ?? 0 },
  ];
  const seen = new Set<string>();
  return given.map((variant, index) => {
    const skuKey = canonicalKey(variant.sku);
    // A unique index does not look inside one document.
    if (seen.has(skuKey)) throw invalidInput(`variants.${index}.sku`, "duplicate", TWICE);
    seen.add(skuKey);
    return {
      _id: deps.random.id(),
      sku: variant.sku,
      skuKey,
      name: variant.name ?? null,
      price: variant.price,
      currency: variant.currency ?? currency,
      compareAtPrice: variant.compareAtPrice ?? null,
      gtin: variant.gtin ?? null,
      weight: variant.weight ?? null,
      options: variant.options ?? [],
    };
  });
}

/**
 * The categories of these ids, each once.
 * @throws AppError invalid_input naming the one that is not there, unless those are to be left out
 */
export async function categoriesOf(
  deps: ProductDeps,
  ids: string[],
  leaveOut = false,
): Promise<CategoryDocument[]> {
  const categories = await deps.categories.findByIds(ids);
  const missing = leaveOut ? -1 : ids.findIndex((id) => !categories.has(id));
  if (missing >= 0) throw invalidInput(`categoryIds.${missing}`, "not_found", "there is no such category");
  return pickEach(categories, ids);
}

/**
 * Holds attributes to the definitions of the product's categories; what no category defines is free.
 * @throws AppError invalid_input
 */
function checkAttributes(attrs: AttributeDocument[], categories: CategoryDocument[]): void {
  const definitions = new Map(
    categories.flatMap(({ attributes }) =>
      (attributes ?? []).map((definition) => [canonicalKey(definition.key), definition] as const),
    ),
  );
  for (const [index, { key, value, unit }] of attrs.entries()) {
    const definition = definitions.get(canonicalKey(key));
    if (!definition) continue;
    const wanted = definition.type === "enum" ? "string" : definition.type;
    if (typeof value !== wanted) {
      throw invalidInput(`attrs.${index}.value`, "wrong_type", `must be a ${wanted}, as its category says`);
    }
    if (definition.type === "enum" && !definition.values.includes(String(value))) {
      throw invalidInput(
        `attrs.${index}.value`,
        "not_allowed",
        `must be one of ${definition.values.join(", ")}`,
      );
    }
    if ((unit ?? null) !== definition.unit) {
      throw invalidInput(
        `attrs.${index}.unit`,
        "not_allowed",
        definition.unit === null ? "must be left out" : `must be ${definition.unit}`,
      );
    }
  }
}

/**
 * The slug of an input, or one made from its name.
 * @throws AppError invalid_input for a given one that cannot stand in an address
 */
function slugOf(input: Pick<CreateProduct, "slug" | "name">, id: string): string {
  const slug = slugify(input.slug ?? input.name) || `p-${id.slice(-12)}`;
  if (!isReserved(slug)) return slug;
  if (input.slug !== undefined) {
    throw invalidInput("slug", "not_allowed", "is an address of the API itself; choose another");
  }
  return suffixSlug(slug, id.slice(-6));
}

/**
 * A product's document from an input.
 * @param categories those of `input.categoryIds`
 * @param present what it is now. Its slug is never made anew from itself: a rule that has changed since would give
 * another. Its variants keep their ids
 * @throws AppError invalid_input
 */
export function buildProduct(
  deps: ProductDeps,
  id: string,
  input: Omit<CreateProduct, "categoryIds">,
  categories: CategoryDocument[],
  present?: Pick<ProductDocument, "slug" | "variants">,
): ProductDocument {
  const now = deps.clock.now();
  const slug = present !== undefined && input.slug === present.slug ? present.slug : slugOf(input, id);
  const variants = keepIds(variantsOf(deps, id, input), input.variants ?? [], present?.variants ?? []);
  const cheapest = cheapestOf(variants, input.currency ?? deps.config.defaultCurrency);
  const attrs = (input.attrs ?? []).map(({ key, value, unit }) => ({ key, value, unit: unit ?? null }));
  checkAttributes(attrs, categories);
  return {
    _id: id,
    name: input.name,
    nameKey: searchKey(input.name),
    slug,
    slugKey: canonicalKey(slug),
    description: input.description ?? "",
    brand: input.brand ?? null,
    ...(input.brand ? { brandKey: canonicalKey(input.brand) } : {}),
    attrs,
    attrKeys: attrs.map(({ key, value }) => attrKeyOf(key, value)),
    metadata: input.metadata ?? {},
    status: input.status ?? "active",
    ...placeIn(categories),
    variants,
    skuKeys: variants.map(({ skuKey }) => skuKey),
    price: cheapest.price,
    currency: cheapest.currency,
    ...shownOf(variants, cheapest),
    picture: null,
    popularity: 0,
    version: 1,
    createdAt: now,
    updatedAt: now,
    deletedAt: null,
  };
}

/** The cheapest variant of the product's currency; where none has it, of the first one's. */
function cheapestOf(variants: VariantDocument[], currency: string): VariantDocument {
  const own = variants.some((variant) => variant.currency === currency) ? currency : variants[0]?.currency;
  return variants
    .filter((variant) => variant.currency === own)
    .reduce((least, variant) => (variant.price < least.price ? variant : least));
}

/** Gives a product another slug, by chance, in place of one that is taken. */
export function addSlugSuffix(deps: ProductDeps, product: ProductDocument, taken: string): void {
  product.slug = suffixSlug(taken, Buffer.from(deps.random.bytes(3)).toString("hex"));
  product.slugKey = canonicalKey(product.slug);
}
/** The slug that a product gives away with this change, for `FormerSlugStore.record`; none when it keeps its own. */
export const slugGivenAway = (present: ProductDocument, next: Pick<ProductDocument, "slugKey">) =>
  present.slugKey === undefined || present.slugKey === next.slugKey
    ? []
    : [{ slugKey: present.slugKey, productId: present._id }];

/** What a product would be made from again: the input of a change is laid over it. */
export const inputOf = (product: ProductDocument): Omit<CreateProduct, "categoryIds" | "price"> => ({
  name: product.name,
  description: product.description,
  brand: product.brand,
  slug: product.slug,
  status: product.status,
  attrs: product.attrs ?? [],
  metadata: { ...product.metadata },
  currency: product.currency,
  variants: product.variants.map(({ _id: id, skuKey, ...variant }) => ({ id, ...variant })),
});

/**
 * The next version of a product from an input: it keeps its id and popularity, its slug unless the input has
 * another.
 * @throws AppError invalid_input
 */
export function rebuildProduct(
  deps: ProductDeps,
  present: ProductDocument,
  input: Omit<CreateProduct, "categoryIds">,
  categories: CategoryDocument[],
): ProductDocument {
  return {
    ...buildProduct(deps, present._id, input, categories, present),
    popularity: present.popularity,
    createdAt: present.createdAt,
    version: present.version + 1,
  };
}

import type { MongoTx } from "../db/mongo";
import type { Deps } from "../deps";
import type { RecordAnswer } from "../http/idempotency";
import { signalProduct } from "../inventory/in-stock";
import type { Actor } from "../lib/actor";
import { AppError, invalidInput } from "../lib/errors";
import { canonicalKey, slugify, suffixSlug } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import type { CategoryDocument } from "./categories/model";
import { placeIn } from "./categories/product-trees";
import { attrKeyOf } from "./filters";
import { toProduct } from "./mapper";
import type { AttributeDocument, ProductDocument, VariantDocument } from "./model";
import { isReserved } from "./reserved";
import type { ChangeProduct, CreateProduct, ProductResponse } from "./schema";
import { shownOf } from "./shown";

/** The variants of an input; a price alone makes one, with a SKU from the product's id. */
function variantsOf(deps: Deps, id: string, input: CreateProduct): VariantDocument[] {
  const currency = input.currency ?? deps.config.defaultCurrency;
  const given: NonNullable<CreateProduct["variants"]> = input.variants ?? [
    { sku: `P-${id.replaceAll("-", "").slice(-12).toUpperCase()}`, price: input.price ?? 0 },
  ];
  const seen = new Set<string>();
  return given.map((variant, index) => {
    const skuKey = canonicalKey(variant.sku);
    // A unique index does not look inside one document.
    if (seen.has(skuKey))
      throw invalidInput(`variants.${index}.sku`, "duplicate", "is there twice in this product");
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

/** Categories, each once: two ids may stand for one. */
const distinct = (categories: CategoryDocument[]): CategoryDocument[] => [
  ...new Map(categories.map((category) => [category._id, category])).values(),
];

/**
 * The categories of these ids, each once.
 * @throws AppError invalid_input naming the one that is not there, unless those are to be left out
 */
export async function categoriesOf(deps: Deps, ids: string[], leaveOut = false): Promise<CategoryDocument[]> {
  const categories = await deps.categories.findByIds(ids);
  const missing = leaveOut ? -1 : ids.findIndex((id) => !categories.has(id));
  if (missing >= 0) throw invalidInput(`categoryIds.${missing}`, "not_found", "there is no such category");
  return distinct(ids.flatMap((id) => categories.get(id) ?? []));
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
 * @param present the slug that it has; it is never made anew from itself: a rule that has changed since would give
 * another
 * @throws AppError invalid_input
 */
export function buildProduct(
  deps: Deps,
  id: string,
  input: Omit<CreateProduct, "categoryIds">,
  categories: CategoryDocument[],
  present?: string,
): ProductDocument {
  const now = deps.clock.now();
  const slug = present !== undefined && input.slug === present ? present : slugOf(input, id);
  const variants = variantsOf(deps, id, input);
  const cheapest = variants.reduce((least, variant) => (variant.price < least.price ? variant : least));
  const attrs = (input.attrs ?? []).map(({ key, value, unit }) => ({ key, value, unit: unit ?? null }));
  checkAttributes(attrs, categories);
  return {
    _id: id,
    name: input.name,
    nameKey: canonicalKey(input.name),
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

/** Gives a product another slug, by chance, in place of one that is taken. */
export function giveSuffix(deps: Deps, product: ProductDocument, taken: string): void {
  product.slug = suffixSlug(taken, Buffer.from(deps.random.bytes(3)).toString("hex"));
  product.slugKey = canonicalKey(product.slug);
}

/** How many slugs are tried for a name that others have too. */
const SLUG_TRIES = 3;

/**
 * Makes a product. A slug made from the name gets a suffix when it is taken; a given one is refused.
 * @throws AppError invalid_input, already_exists
 */
export async function createProduct(
  deps: Deps,
  _actor: Actor,
  input: CreateProduct,
  record: RecordAnswer<MongoTx>,
): Promise<ProductResponse> {
  const categories = await categoriesOf(deps, input.categoryIds ?? []);
  const product = buildProduct(deps, deps.random.id(), input, categories);
  const signalId = deps.random.id();
  const wanted = product.slug;
  for (let attempt = 1; ; attempt++) {
    if (input.slug === undefined && (await deps.products.findBySlug(product.slugKey ?? ""))) {
      giveSuffix(deps, product, wanted);
    }
    try {
      const response = toProduct(product);
      await deps.mongo.transaction(async (tx) => {
        await deps.products.create(product, tx);
        await signalProduct(deps, product, signalId, tx);
        await record(tx, response);
      });
      return response;
    } catch (error) {
      const slugTaken =
        error instanceof AppError && error.code === "already_exists" && /slug/.test(error.detail);
      if (!slugTaken || input.slug !== undefined || attempt >= SLUG_TRIES) throw error;
    }
  }
}

/** The slug that a product gives away with this change, for `FormerSlugStore.record`; none when it keeps its own. */
export const slugGivenAway = (present: ProductDocument, next: Pick<ProductDocument, "slugKey">) =>
  present.slugKey === undefined || present.slugKey === next.slugKey
    ? []
    : [{ slugKey: present.slugKey, productId: present._id }];

export const noProduct = () => new AppError("not_found", "There is no such product.");

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
  variants: product.variants.map(({ _id, skuKey, ...variant }) => variant),
});

/**
 * The variants of a change: `price` alone is the price of the only one. Another currency needs new amounts: 49.00 USD
 * are not 4,900 JPY.
 * @throws AppError invalid_input
 */
function changedVariants(product: ProductDocument, change: ChangeProduct): CreateProduct["variants"] {
  if (change.variants !== undefined) return change.variants;
  const { variants = [] } = inputOf(product);
  const { price, currency } = change;
  if (price !== undefined && variants.length !== 1) {
    throw invalidInput(
      "price",
      "ambiguous",
      "cannot be set for a product with several variants; send variants",
    );
  }
  const converted = variants.filter((variant) => currency !== undefined && variant.currency !== currency);
  if (
    converted.length > 0 &&
    (variants.length > 1 || converted.some(({ compareAtPrice }) => compareAtPrice))
  ) {
    throw invalidInput("variants", "required", "are needed with another currency, with their prices");
  }
  if (converted.length > 0 && price === undefined) {
    throw invalidInput("price", "required", "is needed with another currency");
  }
  return variants.map((variant) => ({
    ...variant,
    ...(price === undefined ? {} : { price }),
    ...(currency === undefined ? {} : { currency }),
  }));
}

/**
 * The next version of a product from an input: it keeps its id and popularity, its slug unless the input has
 * another, and a variant its id with its SKU.
 * @throws AppError invalid_input
 */
export function rebuildProduct(
  deps: Deps,
  present: ProductDocument,
  input: Omit<CreateProduct, "categoryIds">,
  categories: CategoryDocument[],
): ProductDocument {
  const ids = new Map(present.variants.map((variant) => [variant.skuKey, variant._id]));
  const built = buildProduct(deps, present._id, input, categories, present.slug);
  return {
    ...built,
    variants: built.variants.map((variant) => ({ ...variant, _id: ids.get(variant.skuKey) ?? variant._id })),
    popularity: present.popularity,
    createdAt: present.createdAt,
    version: present.version + 1,
  };
}

/**
 * Changes a part of a product, or all of it when `whole`. Its slug stays when its name changes; a variant keeps
 * its id with its SKU.
 * @param key its id or slug, in canonical form
 * @param expected from If-Match
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists, invalid_input
 */
export async function changeProduct(
  deps: Deps,
  key: string,
  change: ChangeProduct,
  expected: ExpectedVersions,
  whole = false,
): Promise<ProductResponse> {
  const present = await deps.products.find(key);
  if (!present) throw noProduct();
  const { _id: id } = present;
  expectVersion(expected, present.version);
  const placed = whole || change.categoryIds !== undefined;
  // A category that nobody sent and that is gone is no fault of the caller's: the product is no longer in it.
  const categories = placed
    ? await categoriesOf(deps, change.categoryIds ?? [])
    : await categoriesOf(deps, present.categoryIds, true);
  const base = whole ? { slug: present.slug } : inputOf(present);
  const { categoryIds: _, price, ...fields } = change;
  const input = whole
    ? { ...base, ...fields, price, name: change.name ?? present.name }
    : { ...inputOf(present), ...fields, variants: changedVariants(present, change) };
  // Attributes that nobody sent are not held to what their categories have come to say since.
  const held = placed || change.attrs !== undefined ? categories : [];
  const next = { ...rebuildProduct(deps, present, input, held), ...placeIn(categories) };
  const signalId = deps.random.id();
  const changed = await deps.mongo.transaction(async (tx) => {
    if (!(await deps.products.replace(next, present.version, tx))) return false;
    await deps.formerSlugs.record(slugGivenAway(present, next), next.updatedAt, tx);
    // Also for a SKU that is taken away: its stock is no longer the product's.
    const skuKeys = [...new Set([...(present.skuKeys ?? []), ...(next.skuKeys ?? [])])];
    await signalProduct(deps, { _id: id, skuKeys }, signalId, tx);
    return true;
  });
  if (!changed) {
    const now = await deps.products.findById(id);
    if (!now) throw noProduct();
    expectVersion(expected, now.version);
    throw new AppError("version_conflict", "The product was changed at the same moment. Try again.", {
      members: { currentVersion: now.version },
    });
  }
  return toProduct({ ...next, inStock: present.inStock, picture: present.picture });
}

/**
 * Deletes a product so that it can be restored: its slug and SKUs are free again.
 * @throws AppError not_found, precondition_failed
 */
export async function deleteProduct(deps: Deps, key: string, expected: ExpectedVersions): Promise<void> {
  const present = await deps.products.find(key);
  if (!present) throw noProduct();
  expectVersion(expected, present.version);
  const now = deps.clock.now();
  const { slugKey: _s, skuKeys: _k, ...rest } = present;
  const deleted = await deps.mongo.transaction(async (tx) => {
    const next = { ...rest, deletedAt: now, updatedAt: now };
    if (!(await deps.products.replace(next, present.version, tx))) return false;
    await deps.formerSlugs.record(slugGivenAway(present, {}), now, tx);
    return true;
  });
  if (!deleted) {
    const there = await deps.products.findById(present._id);
    if (!there) throw noProduct();
    throw staleVersion(there.version);
  }
}

/**
 * Brings a deleted product back. @throws AppError not_found, conflict when it is not deleted, already_exists when
 * its slug or a SKU was given to another meanwhile
 */
export async function restoreProduct(
  deps: Deps,
  id: string,
  record: RecordAnswer<MongoTx>,
): Promise<ProductResponse> {
  const signalId = deps.random.id();
  const now = deps.clock.now();
  return deps.mongo.transaction(async (tx) => {
    const present = await deps.products.findAny(id, tx);
    if (!present) throw noProduct();
    if (present.deletedAt === null) throw new AppError("conflict", "The product is not deleted.");
    const restored: ProductDocument = {
      ...present,
      slugKey: canonicalKey(present.slug),
      skuKeys: present.variants.map(({ skuKey }) => skuKey),
      deletedAt: null,
      updatedAt: now,
    };
    if (!(await deps.products.replace(restored, present.version, tx))) {
      throw new AppError("conflict", "The product was changed at the same moment. Try again.");
    }
    await signalProduct(deps, restored, signalId, tx);
    const response = toProduct({ ...restored, version: present.version + 1 });
    await record(tx, response);
    return response;
  });
}

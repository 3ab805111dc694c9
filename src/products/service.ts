import type { Actor } from "../auth/actor";
import { canonicalKey, slugify, suffixSlug } from "../canonical";
import type { MongoTx } from "../db/mongo";
import type { Deps } from "../deps";
import { AppError, invalidInput } from "../errors";
import type { RecordAnswer } from "../http/idempotency";
import type { JsonValue } from "../json";
import type { CategoryDocument } from "./categories/model";
import { placeIn } from "./categories/service";
import { attrKeyOf, type ProductListQuery } from "./filters";
import { signalProduct } from "./inventory/in-stock";
import type { AttributeDocument, ProductDocument, VariantDocument } from "./model";
import type {
  ChangeProduct,
  CreateProduct,
  ListedProductResponse,
  ProductResponse,
  ProductSummaryResponse,
} from "./schema";
import type { ProductSummary } from "./store";

export const toSummary = (product: ProductSummary): ProductSummaryResponse => ({
  id: product._id,
  name: product.name,
  slug: product.slug,
  brand: product.brand,
  status: product.status,
  categoryIds: product.categoryIds,
  price: { amount: product.price, currency: product.currency },
  inStock: product.inStock === true,
  createdAt: product.createdAt.toISOString(),
  updatedAt: product.updatedAt.toISOString(),
});

const toVariant = (variant: VariantDocument): ProductResponse["variants"][number] => ({
  id: variant._id,
  sku: variant.sku,
  name: variant.name,
  price: { amount: variant.price, currency: variant.currency },
  compareAtPrice:
    variant.compareAtPrice === null ? null : { amount: variant.compareAtPrice, currency: variant.currency },
  gtin: variant.gtin,
  weight: variant.weight,
  options: variant.options.map(({ name, value }) => ({ name, value })),
});

export const toProduct = (product: ProductDocument): ProductResponse => ({
  ...toSummary(product),
  description: product.description,
  attrs: (product.attrs ?? []).map(({ key, value, unit }) => ({ key, value, unit })),
  metadata: { ...product.metadata },
  variants: product.variants.map(toVariant),
  version: product.version,
});

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
  if (missing >= 0) throw invalidInput(`categoryIds.${missing}`, "unknown", "there is no such category");
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
      throw invalidInput(`attrs.${index}.value`, "type", `must be a ${wanted}, as its category says`);
    }
    if (definition.type === "enum" && !definition.values.includes(String(value))) {
      throw invalidInput(`attrs.${index}.value`, "enum", `must be one of ${definition.values.join(", ")}`);
    }
    if ((unit ?? null) !== definition.unit) {
      throw invalidInput(
        `attrs.${index}.unit`,
        "unit",
        definition.unit === null ? "must be left out" : `must be ${definition.unit}`,
      );
    }
  }
}

/**
 * A product's document from an input.
 * @param categories those of `input.categoryIds`
 * @throws AppError invalid_input
 */
export function buildProduct(
  deps: Deps,
  id: string,
  input: Omit<CreateProduct, "categoryIds">,
  categories: CategoryDocument[],
): ProductDocument {
  const now = deps.clock.now();
  const slug = slugify(input.slug ?? input.name) || `p-${id.slice(-12)}`;
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

/** Whether a caller may see what is not for sale. */
const mayEdit = (actor: Actor | undefined): boolean => actor?.permissions.has("products:write") === true;

/** Whether a caller may see how many there are, and not only whether there are any. */
const maySeeQuantities = (actor: Actor | undefined): boolean =>
  actor?.permissions.has("inventory:read") === true;

/** A product; one that is not active only for those who may edit it. @throws AppError not_found */
export async function readProduct(
  deps: Deps,
  actor: Actor | undefined,
  id: string,
): Promise<ProductResponse> {
  const product = await deps.products.findById(id);
  if (!product || (product.status !== "active" && !mayEdit(actor))) throw noProduct();
  return toProduct(product);
}

const noProduct = () => new AppError("not_found", "There is no such product.");

const stale = (version: number) =>
  new AppError("precondition_failed", "The product has changed since you read it. Read it again.", {
    members: { currentVersion: version },
  });

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
      "several_variants",
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
  const built = buildProduct(deps, present._id, input, categories);
  // Never made anew from itself: a rule that has changed since would give another.
  const slug = input.slug === present.slug ? present.slug : built.slug;
  return {
    ...built,
    slug,
    slugKey: canonicalKey(slug),
    variants: built.variants.map((variant) => ({ ...variant, _id: ids.get(variant.skuKey) ?? variant._id })),
    popularity: present.popularity,
    createdAt: present.createdAt,
    version: present.version + 1,
  };
}

/**
 * Changes a part of a product, or all of it when `whole`. Its slug stays when its name changes; a variant keeps
 * its id with its SKU.
 * @param version from If-Match; undefined takes whatever there is
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists, invalid_input
 */
export async function changeProduct(
  deps: Deps,
  id: string,
  change: ChangeProduct,
  version: number | undefined,
  whole = false,
): Promise<ProductResponse> {
  const present = await deps.products.findById(id);
  if (!present) throw noProduct();
  if (version !== undefined && version !== present.version) throw stale(present.version);
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
    // Also for a SKU that is taken away: its stock is no longer the product's.
    const skuKeys = [...new Set([...(present.skuKeys ?? []), ...(next.skuKeys ?? [])])];
    await signalProduct(deps, { _id: id, skuKeys }, signalId, tx);
    return true;
  });
  if (!changed) {
    const now = await deps.products.findById(id);
    if (!now) throw noProduct();
    if (version !== undefined) throw stale(now.version);
    throw new AppError("version_conflict", "The product was changed at the same moment. Try again.", {
      members: { currentVersion: now.version },
    });
  }
  return toProduct({ ...next, inStock: present.inStock });
}

/**
 * Deletes a product so that it can be restored: its slug and SKUs are free again.
 * @throws AppError not_found, precondition_failed
 */
export async function deleteProduct(deps: Deps, id: string, version: number | undefined): Promise<void> {
  const present = await deps.products.findById(id);
  if (!present) throw noProduct();
  if (version !== undefined && version !== present.version) throw stale(present.version);
  const now = deps.clock.now();
  const { slugKey: _s, skuKeys: _k, ...rest } = present;
  const deleted = await deps.products.replace({ ...rest, deletedAt: now, updatedAt: now }, present.version);
  if (!deleted) {
    const there = await deps.products.findById(id);
    if (!there) throw noProduct();
    throw stale(there.version);
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

/** Most products that a total counts. */
const MOST_COUNTED = 10_000;

/**
 * A page of products. Those that are not active are only for those who may edit them, quantities of stock only
 * for those who may read the inventory.
 * @throws AppError forbidden, invalid_cursor
 */
export async function listProducts(deps: Deps, actor: Actor | undefined, query: ProductListQuery) {
  const { filter, sort, limit, include } = query;
  const stock = include.includes("stock");
  if (filter.status !== "active" && !mayEdit(actor)) {
    throw new AppError("forbidden", "Only those who may edit products see what is not active.");
  }
  const scope = { list: "products", filter: { ...filter }, sort: { ...sort } } as unknown as JsonValue;
  const position = query.cursor === undefined ? undefined : deps.cursors.decode(query.cursor, scope);
  const after =
    position === undefined
      ? null
      : {
          key: sort.name === "createdAt" ? new Date(Number(position[0])) : (position[0] as string | number),
          id: String(position[1]),
        };
  const [rows, total] = await Promise.all([
    deps.products.list(filter, sort, after, limit, {
      variants: include.includes("variants"),
      skus: stock,
    }),
    query.count ? deps.products.countOf(filter, MOST_COUNTED + 1) : undefined,
  ]);
  const page = rows.slice(0, limit);
  const hasMore = rows.length > limit;
  const last = page.at(-1);
  const keyOf = (row: (typeof page)[number]): string | number => {
    if (sort.name === "createdAt") return row.createdAt.getTime();
    return sort.name === "name" ? (row.nameKey ?? "") : row[sort.name];
  };
  const [categories, available] = await Promise.all([
    include.includes("categories")
      ? deps.categories.findByIds([...new Set(page.flatMap(({ categoryIds }) => categoryIds))])
      : new Map<string, CategoryDocument>(),
    stock
      ? deps.inventory.availableOf(page.flatMap(({ variants = [] }) => variants.map(({ skuKey }) => skuKey)))
      : new Map<string, number>(),
  ]);
  const exact = maySeeQuantities(actor);
  const stockOf = ({ sku, skuKey }: VariantDocument) => {
    const quantity = available.get(skuKey) ?? 0;
    return { sku, inStock: quantity > 0, ...(exact ? { available: quantity } : {}) };
  };
  const data = page.map(
    (row): ListedProductResponse => ({
      ...toSummary(row),
      ...(include.includes("variants") ? { variants: (row.variants ?? []).map(toVariant) } : {}),
      ...(include.includes("categories")
        ? {
            categories: distinct(row.categoryIds.flatMap((id) => categories.get(id) ?? [])).map(
              ({ _id, name, path }) => ({ id: _id, name, path }),
            ),
          }
        : {}),
      ...(stock ? { stock: (row.variants ?? []).map(stockOf) } : {}),
    }),
  );
  return {
    data,
    page: {
      hasMore,
      nextCursor: hasMore && last ? deps.cursors.encode([keyOf(last), last._id], scope) : null,
      ...(total === undefined
        ? {}
        : {
            total: {
              value: Math.min(total, MOST_COUNTED),
              relation: total > MOST_COUNTED ? ("gte" as const) : ("eq" as const),
            },
          }),
    },
  };
}

/** Active products whose name, brand or description matches, the best first. */
export async function searchProducts(
  deps: Deps,
  { q, limit }: { q: string; limit: number },
): Promise<ProductSummaryResponse[]> {
  return (await deps.products.search(q, limit)).map(toSummary);
}

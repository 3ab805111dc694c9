import type { Actor } from "../auth/actor";
import { canonicalKey, slugify } from "../canonical";
import type { MongoTx } from "../db/mongo";
import type { Deps } from "../deps";
import { AppError, invalidInput } from "../errors";
import type { RecordAnswer } from "../http/idempotency";
import type { CategoryDocument } from "./categories/model";
import { signalProduct } from "./inventory/in-stock";
import type { ProductDocument, VariantDocument } from "./model";
import type { CreateProduct, ProductResponse, ProductSummaryResponse } from "./schema";
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

export const toProduct = (product: ProductDocument): ProductResponse => ({
  ...toSummary(product),
  description: product.description,
  variants: product.variants.map((variant) => ({
    id: variant._id,
    sku: variant.sku,
    name: variant.name,
    price: { amount: variant.price, currency: variant.currency },
    compareAtPrice:
      variant.compareAtPrice === null ? null : { amount: variant.compareAtPrice, currency: variant.currency },
    options: variant.options.map(({ name, value }) => ({ name, value })),
  })),
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
      gtin: null,
      weight: null,
      options: variant.options ?? [],
    };
  });
}

/** The categories of these ids, each once. @throws AppError invalid_input naming the one that is not there */
async function categoriesOf(deps: Deps, ids: string[]): Promise<CategoryDocument[]> {
  const categories = new Map(
    (await deps.categories.findByIds(ids)).map((category) => [category._id, category]),
  );
  const missing = ids.findIndex((id) => !categories.has(id));
  if (missing >= 0) throw invalidInput(`categoryIds.${missing}`, "unknown", "there is no such category");
  return [...new Set(ids)].flatMap((id) => categories.get(id) ?? []);
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
  return {
    _id: id,
    name: input.name,
    slug,
    slugKey: canonicalKey(slug),
    description: input.description ?? "",
    brand: input.brand ?? null,
    status: input.status ?? "active",
    categoryIds: categories.map(({ _id }) => _id),
    categoryTree: [...new Set(categories.flatMap(({ _id, ancestors }) => [...ancestors, _id]))],
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
  for (let attempt = 1; ; attempt++) {
    if (input.slug === undefined && (await deps.products.findBySlug(product.slugKey ?? ""))) {
      product.slug = `${product.slug.replace(/-[0-9a-f]{6}$/, "")}-${Buffer.from(deps.random.bytes(3)).toString("hex")}`;
      product.slugKey = canonicalKey(product.slug);
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

/** @throws AppError not_found */
export async function readProduct(deps: Deps, id: string): Promise<ProductResponse> {
  const product = await deps.products.findById(id);
  if (product?.status !== "active") throw new AppError("not_found", "There is no such product.");
  return toProduct(product);
}

/** A page of active products, the newest first. @throws AppError invalid_cursor */
export async function listProducts(
  deps: Deps,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ data: ProductSummaryResponse[]; page: { nextCursor: string | null; hasMore: boolean } }> {
  const filter = { list: "products", sort: "-createdAt" };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.products.listNewest({
    limit,
    after:
      position === undefined ? null : { createdAt: new Date(Number(position[0])), id: String(position[1]) },
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(toSummary),
    page: {
      hasMore,
      nextCursor: hasMore && last ? deps.cursors.encode([last.createdAt.getTime(), last._id], filter) : null,
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

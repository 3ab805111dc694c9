/**
 * Products as lists, search and suggestions show them: one reading of `include`, and a number of queries that does
 * not grow with the number of products.
 */

import type { Actor } from "../lib/actor";
import type { ItemResponse } from "./answers";
import { crumbOf, type Place, pickEach } from "./categories/place";
import type { ProductDeps } from "./deps";
import type { Include } from "./filters";
import { toPicture } from "./images/mapper";
import { toItem, toVariant } from "./mapper";
import type { ProductDocument, VariantDocument } from "./model";
import { coverOf, shownOf } from "./shown";
import { type ListedProduct, SUMMARY } from "./summary";

/** Whether a caller may see how many there are, and not only whether there are any. */
const maySeeQuantities = (actor: Actor | undefined): boolean =>
  actor?.permissions.has("inventory:read") === true;

/**
 * What is read of each product for `expandItems` to show it with what was asked for. A product may have 250
 * variants: they are read only where they are shown.
 */
export const fieldsFor = (include: readonly Include[]): Record<string, 1> => ({
  ...SUMMARY,
  ...(include.includes("variants")
    ? { variants: 1 }
    : include.includes("stock")
      ? { "variants.sku": 1, "variants.skuKey": 1 }
      : {}),
  ...(include.includes("categories") || include.includes("breadcrumbs") ? { categoryTree: 1 } : {}),
});

/** Fills in what lists show of products that an earlier version wrote, with two queries for all of them. */
async function completeRows(deps: ProductDeps, rows: ListedProduct[]): Promise<ListedProduct[]> {
  const lacks = ({ variantCount, picture }: ListedProduct) =>
    variantCount === undefined || picture === undefined;
  const ids = rows.filter(lacks).map(({ _id }) => _id);
  if (ids.length === 0) return rows;
  const [variants, pictures] = await Promise.all([
    deps.products.variantsOf(ids),
    deps.pictures.ofProducts(ids),
  ]);
  return rows.map((row) => {
    const of = variants.get(row._id);
    return of === undefined
      ? row
      : { ...row, ...shownOf(of, row), picture: coverOf(pictures.get(row._id)?.[0]) };
  });
}

/** The categories of products, and all above them, by the ids that products name. */
async function placesOf(deps: ProductDeps, rows: Pick<ListedProduct, "categoryIds" | "categoryTree">[]) {
  const named = new Set(
    rows.flatMap(({ categoryIds, categoryTree = [] }) => [...categoryIds, ...categoryTree]),
  );
  const places = await deps.categories.findByIds([...named]);
  // The tree of a product is brought up to a move of its categories a little later.
  const missing = new Set(
    [...places.values()].flatMap(({ ancestors }) => ancestors).filter((id) => !places.has(id)),
  );
  if (missing.size > 0) {
    for (const [id, place] of await deps.categories.findByIds([...missing])) places.set(id, place);
  }
  return places;
}

/** From the root to a category. */
const trailOf = (places: Map<string, Place>, place: Place): Place[] => [
  ...place.ancestors.flatMap((id) => places.get(id) ?? []),
  place,
];

/** What `include` adds to products, asked for at once for all of them. */
async function includedIn(
  deps: ProductDeps,
  actor: Actor | undefined,
  rows: Pick<ListedProduct, "_id" | "status" | "categoryIds" | "categoryTree" | "variants">[],
  include: readonly Include[],
) {
  const wants = (name: Include) => include.includes(name);
  const placed = wants("categories") || wants("breadcrumbs");
  const skuKeys = wants("stock")
    ? rows.flatMap(({ variants = [] }) => variants.map(({ skuKey }) => skuKey))
    : [];
  const [places, pictures, sellable] = await Promise.all([
    placed ? placesOf(deps, rows) : undefined,
    wants("images") ? deps.pictures.ofProducts(rows.map(({ _id }) => _id)) : undefined,
    wants("stock") ? deps.inventory.sellableOf(skuKeys) : undefined,
  ]);
  const exact = maySeeQuantities(actor);
  const stockOf = ({ sku, skuKey }: VariantDocument, isForSale: boolean) => {
    const found = isForSale ? sellable?.get(skuKey) : undefined;
    const { available = 0, orderable = false } = found ?? {};
    return { sku, inStock: available > 0, orderable, ...(exact ? { available } : {}) };
  };
  return (row: (typeof rows)[number]): Partial<ItemResponse> => {
    const own = places ? pickEach(places, row.categoryIds) : [];
    const [first] = own;
    return {
      ...(pictures ? { images: (pictures.get(row._id) ?? []).map(toPicture) } : {}),
      ...(wants("categories") ? { categories: own.map(crumbOf) } : {}),
      ...(places ? { breadcrumbs: first ? trailOf(places, first).map(crumbOf) : [] } : {}),
      ...(sellable
        ? { stock: (row.variants ?? []).map((variant) => stockOf(variant, row.status === "active")) }
        : {}),
    };
  };
}

/**
 * Products as lists show them, with what `include` asks for. At most four queries follow, and two more for products
 * that an earlier version wrote, however many products there are.
 * @param rows read with `fieldsFor(include)`; the caller has checked that `actor` may see them
 */
export async function expandItems(
  deps: ProductDeps,
  actor: Actor | undefined,
  rows: ListedProduct[],
  include: readonly Include[],
): Promise<ItemResponse[]> {
  if (rows.length === 0) return [];
  const [whole, included] = await Promise.all([
    completeRows(deps, rows),
    includedIn(deps, actor, rows, include),
  ]);
  return whole.map((row) => ({
    ...toItem(row),
    ...(include.includes("variants") ? { variants: (row.variants ?? []).map(toVariant) } : {}),
    ...included(row),
  }));
}

/** What `include` adds to one whole product. */
export const expandProduct = async (
  deps: ProductDeps,
  actor: Actor | undefined,
  product: ProductDocument,
  include: readonly Include[],
): Promise<Partial<ItemResponse>> => (await includedIn(deps, actor, [product], include))(product);

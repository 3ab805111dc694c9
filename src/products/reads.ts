import type { Actor } from "../lib/actor";
import { AppError, invalidInput } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { pageFrom } from "../lib/paging";
import { isId } from "../lib/text";
import type { ProductResponse } from "./answers";
import { findCategory } from "./categories/reads";
import type { BrandCount } from "./counts";
import type { ProductDeps } from "./deps";
import type { Include, ProductFilter, ProductListQuery } from "./filters";
import { noProduct } from "./found";
import { expandItems, expandProduct, fieldsFor } from "./items";
import { toProduct } from "./mapper";
import type { ProductDocument } from "./model";
import type { BrandListQuery } from "./schema";
import { coverOf } from "./shown";

/** Whether a caller may see what is not for sale. */
const mayEdit = (actor: Actor | undefined): boolean => actor?.permissions.has("products:write") === true;

/**
 * A product that a caller may see; one that is not active only those who may edit it.
 * @param key its id or slug, in canonical form
 * @throws AppError not_found
 */
export async function visibleProduct(
  deps: ProductDeps,
  actor: Actor | undefined,
  key: string,
): Promise<ProductDocument> {
  const product = await deps.products.find(key);
  if (!product || (product.status !== "active" && !mayEdit(actor))) throw noProduct();
  return product;
}

/** A product, or the slug that it has now when `key` is one that it had. */
export type FoundProduct = { product: ProductResponse } | { moved: { id: string; slug: string } };

/**
 * Reads a product by its id, its slug, or a former slug of which it was the last owner. A present slug wins over a
 * former one.
 * @throws AppError not_found
 */
export async function readProduct(
  deps: ProductDeps,
  actor: Actor | undefined,
  key: string,
  include: readonly Include[] = [],
): Promise<FoundProduct> {
  const product = await deps.products.find(key);
  if (!product) {
    const owner = await deps.formerSlugs.ownerOf(key);
    if (owner === undefined) throw noProduct();
    const { _id: id, slug } = await visibleProduct(deps, actor, owner);
    return { moved: { id, slug } };
  }
  if (product.status !== "active" && !mayEdit(actor)) throw noProduct();
  const [included, picture] = await Promise.all([
    expandProduct(deps, actor, product, include),
    // Absent on products that an earlier version wrote.
    product.picture === undefined
      ? deps.pictures.ofProduct(product._id).then(([first]) => coverOf(first))
      : product.picture,
  ]);
  return { product: { ...toProduct({ ...product, picture }), ...included } };
}

/** Most products that a total counts. */
const MOST_COUNTED = 10_000;

/** The filter with the id of the category that it names by slug or path; what names none finds nothing. */
export async function resolveFilter(deps: ProductDeps, filter: ProductFilter): Promise<ProductFilter> {
  if (filter.category === undefined || isId(filter.category)) return filter;
  const category = await findCategory(deps, filter.category);
  return { ...filter, category: category?._id ?? filter.category };
}

/**
 * Amounts of different currencies are not compared: a price filter or sort names one once products have several.
 * @throws AppError invalid_input
 */
export async function requireCurrency(
  deps: ProductDeps,
  filter: ProductFilter,
  sort: ProductListQuery["sort"] | undefined,
): Promise<void> {
  const compared = sort?.name === "price" || filter.priceFrom !== undefined || filter.priceTo !== undefined;
  if (!compared || filter.currency !== undefined) return;
  // Of several, the list itself may still have one alone.
  const [first, second] = await deps.products.currencies(filter.status);
  if (first === undefined || second === undefined) return;
  const { priceFrom: _from, priceTo: _to, ...others } = filter;
  const [one, other] = await deps.products.currenciesOf(others);
  if (other === undefined) return;
  throw invalidInput(
    "filter[currency]",
    "required",
    `is needed with a price filter or sort: there are prices in ${one} and ${other}`,
  );
}

/**
 * A page of products. Those that are not active are only for those who may edit them, quantities of stock only
 * for those who may read the inventory.
 * @throws AppError forbidden, invalid_cursor
 */
export async function listProducts(deps: ProductDeps, actor: Actor | undefined, query: ProductListQuery) {
  const { sort, limit, include } = query;
  if (query.filter.status !== "active" && !mayEdit(actor)) {
    throw new AppError("forbidden", "Only those who may edit products see what is not active.");
  }
  const filter = await resolveFilter(deps, query.filter);
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
    deps.products.list(filter, sort, after, limit, fieldsFor(include)),
    query.count ? deps.products.countOf(filter, MOST_COUNTED + 1) : undefined,
    requireCurrency(deps, filter, sort),
  ]);
  const keyOf = (row: (typeof rows)[number]): string | number => {
    if (sort.name === "createdAt") return row.createdAt.getTime();
    return sort.name === "name" ? (row.nameKey ?? "") : row[sort.name];
  };
  const { data, page } = pageFrom(
    deps,
    rows,
    limit,
    scope,
    (row) => row,
    (last) => [keyOf(last), last._id],
  );
  return {
    data: await expandItems(deps, actor, data, include),
    page: {
      ...page,
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

/** A page of the brands that have active products, with how many. @throws AppError invalid_cursor */
export async function listBrands(deps: ProductDeps, { limit, sort, cursor }: BrandListQuery) {
  const scope = { list: "brands", sort };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, scope);
  const brands = [...(await deps.counts.brands())];
  if (sort === "-count") brands.sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1));
  const [count, key] = [Number(position?.[0]), String(position?.[1])];
  const isBehind = (brand: BrandCount) =>
    sort === "-count" ? brand.count < count || (brand.count === count && brand.key > key) : brand.key > key;
  const rest = position === undefined ? brands : brands.filter(isBehind);
  return pageFrom(
    deps,
    rest,
    limit,
    scope,
    ({ name, count }) => ({ name, count }),
    (last) => [last.count, last.key],
  );
}

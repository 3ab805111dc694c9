import type { ProductDocument } from "./model";

/** The fields of a product in a list. */
export type ProductSummary = Pick<
  ProductDocument,
  | "_id"
  | "name"
  | "slug"
  | "brand"
  | "status"
  | "categoryIds"
  | "price"
  | "currency"
  | "priceMax"
  | "compareAtPrice"
  | "variantCount"
  | "optionNames"
  | "picture"
  | "popularity"
  | "inStock"
  | "createdAt"
  | "updatedAt"
>;

/** A product in a list, with what the list was asked for besides; `variants` may hold `sku` and `skuKey` alone. */
export type ListedProduct = ProductSummary &
  Partial<Pick<ProductDocument, "variants" | "nameKey" | "categoryTree">>;

/** Where a product stands in the tree of categories. */
export type CategorisedProduct = Pick<ProductDocument, "_id" | "version" | "categoryIds" | "categoryTree">;

/** What a list reads of a product: its summary. */
export const SUMMARY = {
  name: 1,
  slug: 1,
  brand: 1,
  status: 1,
  categoryIds: 1,
  price: 1,
  currency: 1,
  priceMax: 1,
  compareAtPrice: 1,
  variantCount: 1,
  optionNames: 1,
  picture: 1,
  popularity: 1,
  inStock: 1,
  createdAt: 1,
  updatedAt: 1,
} as const;

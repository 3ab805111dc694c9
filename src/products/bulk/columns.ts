/** Columns about the product; a row whose name is empty leaves them alone. */
export const PRODUCT_COLUMNS = [
  "name",
  "description",
  "brand",
  "status",
  "categories",
  "attrs",
  "metadata",
  "popularity",
] as const;
/** Columns about the variant of a row. */
export const VARIANT_COLUMNS = [
  "sku",
  "variant",
  "price",
  "currency",
  "compareAtPrice",
  "gtin",
  "weight",
  "options",
] as const;
export const COLUMNS = ["slug", ...PRODUCT_COLUMNS, ...VARIANT_COLUMNS] as const;
export type Column = (typeof COLUMNS)[number];

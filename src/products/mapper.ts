import type { ItemResponse, ProductResponse } from "./answers";
import { toCover } from "./images/mapper";
import type { ProductDocument, VariantDocument } from "./model";
import { shownOf } from "./shown";
import type { ProductSummary } from "./summary";

/** A product as every list shows it. */
export function toItem(product: ProductSummary): ItemResponse {
  const { currency } = product;
  const { price, priceMax = price, compareAtPrice = null } = product;
  return {
    id: product._id,
    name: product.name,
    slug: product.slug,
    brand: product.brand,
    status: product.status,
    categoryIds: product.categoryIds,
    price: { amount: price, currency },
    priceRange: { min: { amount: price, currency }, max: { amount: priceMax, currency } },
    compareAtPrice: compareAtPrice === null ? null : { amount: compareAtPrice, currency },
    variantCount: product.variantCount ?? 1,
    optionNames: product.optionNames ?? [],
    inStock: product.status === "active" && product.inStock === true,
    picture: product.picture ? toCover(product._id, product.picture) : null,
    createdAt: product.createdAt.toISOString(),
    updatedAt: product.updatedAt.toISOString(),
  };
}

export const toVariant = (variant: VariantDocument): ProductResponse["variants"][number] => ({
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

/** A whole product. */
export const toProduct = (product: ProductDocument): ProductResponse => ({
  ...toItem({ ...product, ...shownOf(product.variants, product) }),
  description: product.description,
  attrs: (product.attrs ?? []).map(({ key, value, unit }) => ({ key, value, unit })),
  metadata: { ...product.metadata },
  variants: product.variants.map(toVariant),
  version: product.version,
});

/** What the other sides answer: the same bodies as the project, from the same rows and documents. */

export const meOf = (user, roles, permissions) => ({
  id: user.id,
  email: user.email,
  name: user.name,
  roles: roles.toSorted(),
  avatar: null,
  createdAt: user.createdAt.toISOString(),
  permissions: permissions.toSorted(),
});

const money = (amount, currency) => ({ amount, currency });

export const itemOf = (product) => ({
  id: product._id,
  name: product.name,
  slug: product.slug,
  brand: product.brand,
  status: product.status,
  categoryIds: product.categoryIds,
  price: money(product.price, product.currency),
  priceRange: {
    min: money(product.price, product.currency),
    max: money(product.priceMax, product.currency),
  },
  compareAtPrice: product.compareAtPrice === null ? null : money(product.compareAtPrice, product.currency),
  variantCount: product.variantCount,
  optionNames: product.optionNames,
  inStock: product.inStock,
  picture: null,
  createdAt: product.createdAt.toISOString(),
  updatedAt: product.updatedAt.toISOString(),
});

export const productOf = (product) => ({
  ...itemOf(product),
  description: product.description,
  attrs: product.attrs ?? [],
  metadata: product.metadata ?? {},
  variants: product.variants.map((variant) => ({
    id: variant._id,
    sku: variant.sku,
    name: variant.name,
    price: money(variant.price, variant.currency),
    compareAtPrice: null,
    gtin: variant.gtin,
    weight: variant.weight,
    options: variant.options,
  })),
  version: product.version,
});

/** A product as it is stored, from the body of a request; as plain as a shop's first version has it. */
export function productFrom(body, id) {
  const [{ sku, price }] = body.variants;
  const now = new Date();
  const slug = body.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return {
    _id: id,
    name: body.name,
    nameKey: body.name.toLowerCase(),
    slug,
    slugKey: slug,
    description: body.description,
    brand: body.brand,
    brandKey: body.brand.toLowerCase(),
    status: "active",
    categoryIds: [],
    categoryTree: [],
    variants: [
      {
        _id: `${id}-v`,
        sku,
        skuKey: sku.toLowerCase(),
        name: null,
        price,
        currency: "USD",
        compareAtPrice: null,
        gtin: null,
        weight: null,
        options: [],
      },
    ],
    skuKeys: [sku.toLowerCase()],
    price,
    currency: "USD",
    priceMax: price,
    compareAtPrice: null,
    variantCount: 1,
    optionNames: [],
    popularity: 0,
    inStock: false,
    stockRevision: 0,
    version: 1,
    createdAt: now,
    updatedAt: now,
    deletedAt: null,
  };
}

import { z } from "zod";
import { dataOf, pageOf } from "../http/envelopes";
import { coverResponse, pictureResponse } from "./images/schema";
import { PRODUCT_STATUSES } from "./model";

const moneyResponse = z.object({ amount: z.number().int(), currency: z.string() }).meta({ id: "Money" });

/** A product as every list shows it. */
const itemFields = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  brand: z.string().nullable(),
  status: z.enum(PRODUCT_STATUSES),
  categoryIds: z.array(z.string()),
  price: moneyResponse.meta({ description: "Of the cheapest variant" }),
  priceRange: z
    .object({ min: moneyResponse, max: moneyResponse })
    .meta({ description: "Of the variants in the currency of `price`" }),
  compareAtPrice: moneyResponse.nullable().meta({ description: "Of the cheapest variant" }),
  variantCount: z.number().int(),
  optionNames: z.array(z.string()),
  inStock: z.boolean().meta({ description: "A variant is available; no older than one second" }),
  picture: coverResponse.nullable().meta({ description: "The first picture" }),
  createdAt: z.string(),
  updatedAt: z.string(),
});

const variantResponse = z
  .object({
    id: z.string(),
    sku: z.string(),
    name: z.string().nullable(),
    price: moneyResponse,
    compareAtPrice: moneyResponse.nullable(),
    gtin: z.string().nullable(),
    weight: z.number().nullable(),
    options: z.array(z.object({ name: z.string(), value: z.string() })),
  })
  .meta({ id: "VariantData" });

const crumb = z.object({ id: z.string(), name: z.string(), slug: z.string(), path: z.string() });

/** What `include` adds. */
const includedFields = {
  images: z.array(pictureResponse).optional(),
  categories: z.array(crumb).optional(),
  breadcrumbs: z
    .array(crumb)
    .optional()
    .meta({ description: "From the root to the first of the product's categories" }),
  stock: z
    .array(
      z.object({
        sku: z.string(),
        inStock: z.boolean().meta({ description: "It is available at an active location now" }),
        orderable: z
          .boolean()
          .meta({ description: "It can be ordered now: it is in stock, or on backorder" }),
        available: z
          .number()
          .int()
          .optional()
          .meta({ description: "At all active locations together; only for those with inventory:read" }),
      }),
    )
    .optional(),
};

/** A product in a list, a search or a suggestion, with what `include` asked for. */
export const itemResponse = itemFields.extend({
  variants: z.array(variantResponse).optional(),
  ...includedFields,
});

const productResponse = itemFields.extend({
  description: z.string(),
  attrs: z.array(
    z.object({
      key: z.string(),
      value: z.union([z.string(), z.number(), z.boolean()]),
      unit: z.string().nullable(),
    }),
  ),
  metadata: z.record(z.string(), z.unknown()),
  variants: z.array(variantResponse),
  ...includedFields,
  version: z.number().int(),
});

export const productAnswer = dataOf(productResponse);
export const productListAnswer = pageOf(itemResponse);
export const brandListAnswer = pageOf(z.object({ name: z.string(), count: z.number().int() }));

export type ProductResponse = z.infer<typeof productResponse>;
export type ItemResponse = z.infer<typeof itemResponse>;

/** A variant by itself; its ETag is its product's. */
const productVariantResponse = variantResponse
  .extend({ productId: z.string(), version: z.number().int().meta({ description: "Of the product" }) })
  .meta({ id: "ProductVariant" });
export const productVariantAnswer = dataOf(productVariantResponse);
export type ProductVariantResponse = z.infer<typeof productVariantResponse>;

const deletedResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    slug: z.string().meta({ description: "That it had; it may be another product's now" }),
    skus: z.array(z.string()),
    deletedAt: z.string(),
    deletedBy: z
      .string()
      .nullable()
      .meta({ description: "user:ID or key:ID; null for one that was deleted before this was kept" }),
  })
  .meta({ id: "DeletedProduct" });
export const deletedListAnswer = pageOf(deletedResponse);
export type DeletedPage = z.infer<typeof deletedListAnswer>;

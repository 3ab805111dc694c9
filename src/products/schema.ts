import { z } from "zod";
import { dataOf, pageOf } from "../http/envelopes";
import { isCurrency } from "../lib/money";
import { canonicalKey, cleanText, isVisible } from "../lib/text";
import { coverResponse, pictureResponse } from "./images/schema";
import { PRODUCT_STATUSES } from "./model";

/** Refuses control characters but line breaks and tabs. */
const NO_CONTROLS = /^(?:[^\p{Cc}]|[\n\r\t])*$/u;
const ONE_LINE = /^[^\p{Cc}]*$/u;

/** Text of one line: NFC, trimmed, without control characters. HTML stays text. */
export const lineSchema = (max: number) =>
  z
    .string("must be a text")
    .regex(ONE_LINE, "must not hold control characters")
    .transform(cleanText)
    .pipe(
      z
        .string()
        .min(1, "must not be empty")
        .max(max, `must be at most ${max} characters`)
        .refine(isVisible, "must show something: a letter, a digit or a sign"),
    );

export const minorUnitsSchema = z
  .int("must be a whole number of minor units, such as 1999 for 19.99 USD")
  .min(0, "must not be negative")
  .max(Number.MAX_SAFE_INTEGER, "is too large");

export const currencySchema = z
  .string("must be a text")
  .regex(/^[A-Z]{3}$/, "must be an ISO 4217 code such as USD")
  .refine(isCurrency, "must be an ISO 4217 code such as USD");

export const skuSchema = lineSchema(100);

/** A GTIN of 8, 12, 13 or 14 digits whose check digit is right (GS1 General Specifications, 7.9). */
export const gtinSchema = z
  .string("must be a text")
  .regex(/^(?:\d{8}|\d{12,14})$/, "must be 8, 12, 13 or 14 digits")
  .refine((digits) => {
    const sum = [...digits]
      .reverse()
      .reduce((total, digit, place) => total + Number(digit) * (place % 2 === 0 ? 1 : 3), 0);
    return sum % 10 === 0;
  }, "has a wrong check digit");

/** Grams. */
export const weightSchema = z
  .number("must be a number of grams")
  .min(0, "must not be negative")
  .max(1e9, "must be at most 1000 tonnes");

export const optionsSchema = z
  .array(z.strictObject({ name: lineSchema(50), value: lineSchema(100) }))
  .max(10, "must be at most 10 options");

const variantSchema = z
  .strictObject({
    sku: skuSchema,
    name: lineSchema(200).nullish(),
    price: minorUnitsSchema,
    currency: currencySchema.optional(),
    compareAtPrice: minorUnitsSchema.nullish(),
    gtin: gtinSchema.nullish(),
    weight: weightSchema.nullish(),
    options: optionsSchema.optional(),
  })
  .meta({ id: "VariantBody" });

const flatValue = z.union(
  [lineSchema(500), z.number(), z.boolean()],
  "must be a text, a number, true or false",
);

/** The name of an attribute, in NFC, which may be longer than what came in or hold other characters. */
export const attributeKeySchema = z
  .string("must be a text")
  .transform((key) => key.normalize("NFC"))
  .pipe(
    z
      .string()
      .regex(/^[\p{L}\p{N}_-]+$/u, "must be letters, digits, _ or -")
      .max(50, "must be at most 50 characters"),
  );

const attributeSchema = z
  .strictObject({
    key: attributeKeySchema,
    value: flatValue,
    unit: lineSchema(20).nullish(),
  })
  .meta({ id: "Attribute" });

/** Names that would reach an object's own machinery. */
const RESERVED = new Set(["__proto__", "constructor", "prototype"]);

const metadataSchema = z
  .record(
    z
      .string()
      .regex(/^[\p{L}\p{N}_-]{1,50}$/u, "must be 1 to 50 letters, digits, _ or -")
      .refine((key) => !RESERVED.has(key), "is not allowed"),
    flatValue,
  )
  .refine((metadata) => Object.keys(metadata).length <= 50, "must be at most 50 values");

/** At most so many variants in one product. */
export const MAX_VARIANTS = 250;

/** The fields of a product as they come in. */
export const productFields = {
  name: lineSchema(500).meta({ example: "Linen shirt" }),
  description: z
    .string("must be a text")
    .regex(NO_CONTROLS, "must not hold control characters")
    .transform(cleanText)
    .pipe(z.string().max(50_000, "must be at most 50000 characters"))
    .optional(),
  brand: lineSchema(200).nullish(),
  slug: lineSchema(120).optional(),
  status: z.enum(PRODUCT_STATUSES, "must be draft, active or archived").optional(),
  categoryIds: z.array(z.uuid("must be an id")).max(20, "must be at most 20 categories").optional(),
  attrs: z
    .array(attributeSchema)
    .max(100, "must be at most 100 attributes")
    .refine(
      (attrs) => new Set(attrs.map(({ key }) => canonicalKey(key))).size === attrs.length,
      "names a key twice",
    )
    .optional(),
  metadata: metadataSchema.optional(),
  price: minorUnitsSchema
    .optional()
    .meta({ description: "Minor units; makes one default variant", example: 4900 }),
  currency: currencySchema.optional(),
  variants: z
    .array(variantSchema)
    .min(1, "must be at least one variant")
    .max(MAX_VARIANTS, `must be at most ${MAX_VARIANTS} variants`)
    .optional(),
};

export const createProductSchema = z
  .strictObject(productFields)
  .refine((product) => (product.price === undefined) !== (product.variants === undefined), {
    path: ["price"],
    message: "give either price, for a product with one variant, or variants",
  })
  .meta({ id: "CreateProduct" });

/** A change of a part: what is not named stays. `price` changes a product with one variant. */
export const changeProductSchema = z
  .strictObject({ ...productFields, name: productFields.name.optional() })
  .refine((change) => Object.keys(change).length > 0, "names nothing to change")
  .refine((change) => change.price === undefined || change.variants === undefined, {
    path: ["price"],
    message: "give either price or variants",
  })
  .meta({ id: "ChangeProduct" });

export type ChangeProduct = z.output<typeof changeProductSchema>;

export type CreateProduct = z.output<typeof createProductSchema>;

export const limitSchema = z
  .string()
  .regex(/^\d{1,3}$/, "must be a whole number")
  .transform(Number)
  .refine((n) => n >= 1 && n <= 100, "must be between 1 and 100")
  .default(20);

export const brandListSchema = z.strictObject({
  sort: z.enum(["name", "-count"], "must be name or -count").default("name"),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, "must be a whole number")
    .transform(Number)
    .refine((n) => n >= 1 && n <= 1000, "must be between 1 and 1000")
    .default(100),
  cursor: z.string().max(2000, "is too long").optional(),
});

export type BrandListQuery = z.output<typeof brandListSchema>;

export const idParam = z.object({ id: z.uuid("must be an id") });

/** The id or the slug of a product, or the id, slug or path of a category, in canonical form. */
export const keySchema = z
  .string()
  .max(2000, "must be at most 2000 characters")
  .regex(ONE_LINE, "must not hold control characters")
  .transform(canonicalKey)
  .pipe(z.string().min(1, "must not be empty"));

export const keyParam = z.object({ id: keySchema });

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
  inStock: z.boolean().meta({ description: "A variant can be had; no older than one second" }),
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
        inStock: z.boolean().meta({ description: "It can be had at an active location now" }),
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
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  variants: z.array(variantResponse),
  ...includedFields,
  version: z.number().int(),
});

export const productAnswer = dataOf(productResponse);
export const productListAnswer = pageOf(itemResponse);
export const brandListAnswer = pageOf(z.object({ name: z.string(), count: z.number().int() }));

export type ProductResponse = z.infer<typeof productResponse>;
export type ItemResponse = z.infer<typeof itemResponse>;

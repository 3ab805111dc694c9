import { z } from "zod";
import { cleanText } from "../canonical";
import { dataOf, pageOf } from "../http/describe";
import { PRODUCT_STATUSES } from "./model";
import { isCurrency } from "./money";

/** Refuses control characters but line breaks and tabs. */
const NO_CONTROLS = /^(?:[^\p{Cc}]|[\n\r\t])*$/u;
const ONE_LINE = /^[^\p{Cc}]*$/u;

/** Text of one line: NFC, trimmed, without control characters. HTML stays text. */
export const lineSchema = (max: number) =>
  z
    .string("must be a text")
    .regex(ONE_LINE, "must not hold control characters")
    .transform(cleanText)
    .pipe(z.string().min(1, "must not be empty").max(max, `must be at most ${max} characters`));

export const minorUnitsSchema = z
  .int("must be a whole number of minor units, such as 1999 for 19.99 USD")
  .min(0, "must not be negative")
  .max(Number.MAX_SAFE_INTEGER, "is too large");

export const currencySchema = z
  .string("must be a text")
  .regex(/^[A-Z]{3}$/, "must be an ISO 4217 code such as USD")
  .refine(isCurrency, "must be an ISO 4217 code such as USD");

export const skuSchema = lineSchema(100);

const variantSchema = z.strictObject({
  sku: skuSchema,
  name: lineSchema(200).nullish(),
  price: minorUnitsSchema,
  currency: currencySchema.optional(),
  compareAtPrice: minorUnitsSchema.nullish(),
  options: z
    .array(z.strictObject({ name: lineSchema(50), value: lineSchema(100) }))
    .max(10, "must be at most 10 options")
    .optional(),
});

/** At most so many variants in one product. */
export const MAX_VARIANTS = 250;

export const createProductSchema = z
  .strictObject({
    name: lineSchema(500).meta({ example: "Linen shirt" }),
    description: z
      .string("must be a text")
      .max(50_000, "must be at most 50000 characters")
      .regex(NO_CONTROLS, "must not hold control characters")
      .transform(cleanText)
      .optional(),
    brand: lineSchema(200).nullish(),
    slug: lineSchema(120).optional(),
    status: z.enum(PRODUCT_STATUSES, "must be draft, active or archived").optional(),
    categoryIds: z.array(z.uuid("must be an id")).max(20, "must be at most 20 categories").optional(),
    price: minorUnitsSchema
      .optional()
      .meta({ description: "Minor units; makes one default variant", example: 4900 }),
    currency: currencySchema.optional(),
    variants: z
      .array(variantSchema)
      .min(1)
      .max(MAX_VARIANTS, `must be at most ${MAX_VARIANTS} variants`)
      .optional(),
  })
  .refine((product) => (product.price === undefined) !== (product.variants === undefined), {
    path: ["price"],
    message: "give either price, for a product with one variant, or variants",
  });

export type CreateProduct = z.output<typeof createProductSchema>;

/**
 * One line of an import: a product by names instead of ids. A decimal price is read as text, because 49.99
 * has no exact binary form.
 */
export const importLineSchema = z.object({
  sku: skuSchema.optional(),
  slug: lineSchema(120).optional(),
  name: lineSchema(500),
  description: createProductSchema.shape.description,
  brand: lineSchema(200).nullish(),
  categories: z.array(lineSchema(200)).min(1).max(8).optional(),
  price: z.number("must be a number").min(0, "must not be negative"),
  currency: currencySchema.optional(),
  popularity: z.number().min(0).optional(),
  /** Tells products of one name apart; pictures themselves are uploaded. */
  image: z.string().max(2000).optional(),
});

export type ImportLine = z.output<typeof importLineSchema>;

export const listProductsSchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, "must be a whole number")
    .transform(Number)
    .refine((n) => n >= 1 && n <= 100, "must be between 1 and 100")
    .default(20),
  cursor: z.string().max(2000).optional(),
});

export const searchSchema = z.strictObject({
  q: z
    .string()
    .max(200, "must be at most 200 characters")
    .transform(cleanText)
    .pipe(z.string().min(1, "must not be empty")),
  limit: listProductsSchema.shape.limit,
});

export const idParam = z.object({ id: z.uuid("must be an id") });

const moneyResponse = z.object({ amount: z.number().int(), currency: z.string() });

const summaryResponse = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  brand: z.string().nullable(),
  status: z.enum(PRODUCT_STATUSES),
  categoryIds: z.array(z.string()),
  price: moneyResponse,
  inStock: z.boolean().meta({ description: "A variant can be had; no older than one second" }),
  createdAt: z.string(),
  updatedAt: z.string(),
});

const productResponse = summaryResponse.extend({
  description: z.string(),
  variants: z.array(
    z.object({
      id: z.string(),
      sku: z.string(),
      name: z.string().nullable(),
      price: moneyResponse,
      compareAtPrice: moneyResponse.nullable(),
      options: z.array(z.object({ name: z.string(), value: z.string() })),
    }),
  ),
  version: z.number().int(),
});

export const productAnswer = dataOf(productResponse);
export const productListAnswer = pageOf(summaryResponse);
export const searchAnswer = z.object({ data: z.array(summaryResponse) });

export type ProductResponse = z.infer<typeof productResponse>;
export type ProductSummaryResponse = z.infer<typeof summaryResponse>;

import { z } from "zod";
import { canonicalKey, slugify } from "../../lib/text";
import {
  currencySchema,
  gtinSchema,
  lineSchema,
  MAX_VARIANTS,
  optionsSchema,
  skuSchema,
  weightSchema,
} from "../fields";
import { productFields } from "../schema";

const DECIMAL = "must be a number such as 49.99, not negative";

/** A price as it is written, in major units. Text says exactly what a binary fraction cannot. */
const decimalSchema = z
  .union(
    [
      // The shortest decimal text of a number is what was written in the file.
      z.number().min(0, "must not be negative").transform(String),
      z.string().regex(/^\s*\d{1,16}(?:\.\d{1,10})?\s*$/, DECIMAL),
    ],
    DECIMAL,
  )
  .meta({ id: "Decimal" });

/** What a file says of one variant. What it does not name stays as it is. */
const variantSchema = z
  .strictObject({
    sku: skuSchema.optional(),
    name: lineSchema(200).nullish(),
    price: decimalSchema.optional(),
    currency: currencySchema.optional(),
    compareAtPrice: decimalSchema.nullish(),
    gtin: gtinSchema.nullish(),
    weight: weightSchema.nullish(),
    options: optionsSchema.optional(),
  })
  .refine(({ sku, options = [] }) => sku !== undefined || options.length > 0, {
    path: ["sku"],
    message: "is needed, or options that tell the variant from the others",
  })
  .meta({ id: "Variant" });

const pathSchema = z
  .array(lineSchema(200), "must be a list of names")
  .min(1, "must name 1 to 8 categories, one inside the other")
  .max(8, "must name 1 to 8 categories, one inside the other");

/** One path, or several: `["Home", "Light"]`, `[["Home", "Light"], ["Sale"]]`. */
const categoriesSchema = z
  .array(z.unknown(), "must be a list")
  .transform((given) => (typeof given[0] === "string" ? [given] : given))
  .pipe(z.array(pathSchema).max(20, "must be at most 20 categories"));

/**
 * One product of an import, by names instead of ids; its slug in the form in which it is stored. It changes what it names and nothing else: a variant is
 * found by its SKU, one that is not there is added, and none is removed.
 */
const lineFields = z.strictObject({
  slug: lineSchema(120)
    .transform(slugify)
    .pipe(z.string().min(1, "must hold a letter or a digit"))
    .optional(),
  name: lineSchema(500).optional(),
  description: productFields.description,
  brand: productFields.brand,
  status: productFields.status,
  categories: categoriesSchema.optional(),
  attrs: productFields.attrs,
  metadata: productFields.metadata,
  popularity: z.number("must be a number").min(0, "must not be negative").optional(),
  /** Of the only variant, when `variants` is not given. */
  sku: skuSchema.optional(),
  price: decimalSchema.optional(),
  /** Of every variant that names none. */
  currency: currencySchema.optional(),
  variants: z
    .array(variantSchema)
    .min(1, "must be at least one variant")
    .max(MAX_VARIANTS, `must be at most ${MAX_VARIANTS} variants`)
    .refine((variants) => {
      const skus = variants.flatMap(({ sku }) => (sku === undefined ? [] : canonicalKey(sku)));
      return new Set(skus).size === skus.length;
    }, "name a SKU twice")
    .optional(),
  /** Tells products of one name apart; pictures themselves are uploaded. */
  image: z.string().max(2000).optional(),
});

export const importLineSchema = lineFields
  .refine(({ sku, price, variants }) => variants === undefined || (sku ?? price) === undefined, {
    path: ["variants"],
    message: "cannot be given together with sku or price",
  })
  .refine(({ sku, slug, name, variants }) => (sku ?? slug ?? name ?? variants) !== undefined, {
    path: ["name"],
    message: "is needed, or the sku or slug of a product that is there",
  });

export type ImportLine = z.output<typeof importLineSchema>;
export type ImportVariant = z.output<typeof variantSchema>;

import { z } from "zod";
import { countSchema, idSchema, pageQuery } from "../http/fields";
import { canonicalKey, cleanText } from "../lib/text";
import {
  attributeSchema,
  currencySchema,
  gtinSchema,
  lineSchema,
  MAX_VARIANTS,
  metadataSchema,
  minorUnitsSchema,
  NO_CONTROLS,
  ONE_LINE,
  optionsSchema,
  skuSchema,
  weightSchema,
} from "./fields";
import { PRODUCT_STATUSES } from "./model";

const variantFields = {
  sku: skuSchema,
  name: lineSchema(200).nullish(),
  price: minorUnitsSchema,
  currency: currencySchema.optional(),
  compareAtPrice: minorUnitsSchema.nullish(),
  gtin: gtinSchema.nullish(),
  weight: weightSchema.nullish(),
  options: optionsSchema.optional(),
};

/** A variant of its own. */
export const createVariantSchema = z.strictObject(variantFields).meta({ id: "CreateVariant" });

/** What is not named stays. */
export const changeVariantSchema = createVariantSchema
  .partial()
  .refine((change) => Object.keys(change).length > 0, "names nothing to change")
  .meta({ id: "ChangeVariant" });

export type CreateVariant = z.output<typeof createVariantSchema>;
export type ChangeVariant = z.output<typeof changeVariantSchema>;

const variantSchema = z
  .strictObject({
    id: idSchema
      .optional()
      .meta({ description: "Of a variant that the product has; without it, one with this SKU is meant" }),
    ...variantFields,
  })
  .meta({ id: "VariantBody" });

/** The fields of a product as they come in. */
export const productFields = {
  name: lineSchema(500).meta({ example: "Linen shirt" }),
  description: z
    .string("must be a string")
    .regex(NO_CONTROLS, "must not hold control characters")
    .transform(cleanText)
    .pipe(z.string().max(50_000, "must be at most 50000 characters"))
    .optional(),
  brand: lineSchema(200).nullish(),
  slug: lineSchema(120).optional(),
  status: z.enum(PRODUCT_STATUSES, "must be draft, active or archived").optional(),
  categoryIds: z.array(idSchema).max(20, "must be at most 20 categories").optional(),
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

export const deletedListSchema = z.strictObject(pageQuery);

export const brandListSchema = z.strictObject({
  sort: z.enum(["name", "-count"], "must be name or -count").default("name"),
  ...pageQuery,
  limit: countSchema(1000, 100),
});

export type BrandListQuery = z.output<typeof brandListSchema>;

export const idParam = z.object({ id: idSchema });

/** The id or the slug of a product, or the id, slug or path of a category, in canonical form. */
export const keySchema = z
  .string()
  .max(2000, "must be at most 2000 characters")
  .regex(ONE_LINE, "must not hold control characters")
  .transform(canonicalKey)
  .pipe(z.string().min(1, "must not be empty"));

export const keyParam = z.object({ id: keySchema });

/** Of a change that may take variants away. */
export const leaveStockQuery = z.strictObject({
  leaveStock: z
    .enum(["true", "false"], "must be true or false")
    .transform((text) => text === "true")
    .optional()
    .meta({ description: "Take away variants that have stock too; it stays behind under their SKUs" }),
});

export const variantParam = z.object({ id: keySchema, variantId: idSchema });

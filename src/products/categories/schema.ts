import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { canonicalKey } from "../../lib/text";
import { attributeKeySchema, lineSchema } from "../fields";

const attributeDefinition = z
  .strictObject({
    key: attributeKeySchema,
    type: z.enum(["string", "number", "boolean", "enum"], "must be string, number, boolean or enum"),
    unit: lineSchema(20).nullish(),
    values: z.array(lineSchema(100)).max(200, "must be at most 200 values").optional(),
  })
  .refine(({ type, values }) => (type === "enum") === (values !== undefined && values.length > 0), {
    path: ["values"],
    message: "must be given for an enum, and for nothing else",
  })
  .refine(({ type, unit }) => type === "number" || !unit, {
    path: ["unit"],
    message: "is only for numbers",
  });

const attributes = z
  .array(attributeDefinition)
  .max(100, "must be at most 100 attributes")
  .refine(
    (list) => new Set(list.map(({ key }) => canonicalKey(key))).size === list.length,
    "names a key twice",
  );

const position = z.int("must be a whole number").min(0).max(1_000_000);
const slug = lineSchema(120);
const id = idSchema;

export const categoryParam = z.object({ id });

export const createCategorySchema = z
  .strictObject({
    name: lineSchema(200),
    slug: slug.optional(),
    parentId: id.nullish(),
    position: position.optional(),
    attributes: attributes.optional(),
  })
  .meta({ id: "CreateCategory" });

export const changeCategorySchema = z
  .strictObject({
    name: lineSchema(200).optional(),
    slug: slug.optional(),
    position: position.optional(),
    attributes: attributes.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, "names nothing to change")
  .meta({ id: "ChangeCategory" });

export const moveCategorySchema = z
  .strictObject({ parentId: id.nullable(), position: position.optional() })
  .meta({ id: "MoveCategory" });
export const mergeCategorySchema = z.strictObject({ into: id }).meta({ id: "MergeCategory" });
export const deleteCategoryQuery = z.strictObject({ moveTo: id.optional() });

export type CreateCategory = z.output<typeof createCategorySchema>;
export type ChangeCategory = z.output<typeof changeCategorySchema>;
export type MoveCategory = z.output<typeof moveCategorySchema>;

const categoryResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    slug: z.string(),
    path: z.string(),
    parentId: z.string().nullable(),
    ancestors: z.array(z.string()),
    depth: z.number().int(),
    position: z.number().int(),
    attributes: z.array(
      z.object({
        key: z.string(),
        type: z.enum(["string", "number", "boolean", "enum"]),
        unit: z.string().nullable(),
        values: z.array(z.string()),
      }),
    ),
    version: z.number().int(),
  })
  .meta({ id: "Category" });

/** A category in a list: with how many active products are in it and below it. */
const listedCategory = categoryResponse.extend({ count: z.number().int() });

/** A category as a menu shows it; its path is the slugs on the way to it, joined by "/". */
interface MenuItem {
  id: string;
  name: string;
  slug: string;
  count: number;
  children?: MenuItem[];
}

const menuItem: z.ZodType<MenuItem> = z
  .object({
    id: z.string(),
    name: z.string(),
    slug: z.string(),
    count: z.number().int(),
    get children() {
      return z.array(menuItem).optional();
    },
  })
  .meta({ id: "MenuItem" });

export type MenuItemResponse = MenuItem;
export const menuAnswer = dataOf(z.array(menuItem));
export type CategoryResponse = z.infer<typeof categoryResponse>;
export const categoryAnswer = dataOf(categoryResponse);
export const categoryListAnswer = dataOf(z.array(listedCategory));

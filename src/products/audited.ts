/** Changes of products in the audit log: who changed what, and which prices. */
import { isDeepStrictEqual } from "node:util";
import type { JsonValue } from "../lib/json";
import type { ProductDocument } from "./model";

const FIELDS = [
  "name",
  "slug",
  "description",
  "brand",
  "status",
  "categoryIds",
  "attrs",
  "metadata",
] as const;
const OF_VARIANT = ["sku", "name", "compareAtPrice", "gtin", "weight", "options"] as const;

/** What differs between two states of a product: names of fields, and each price that is another, in minor units. */
function differences(before: ProductDocument, after: ProductDocument): Record<string, JsonValue> {
  const fields: string[] = FIELDS.filter((field) => !isDeepStrictEqual(before[field], after[field]));
  const present = new Map(before.variants.map((variant) => [variant._id, variant]));
  const prices = after.variants.flatMap(({ _id, sku, price, currency }) => {
    const old = present.get(_id);
    return old && old.price === price && old.currency === currency
      ? []
      : [
          {
            sku,
            from: old ? { amount: old.price, currency: old.currency } : null,
            to: { amount: price, currency },
          },
        ];
  });
  const sameVariants =
    before.variants.length === after.variants.length &&
    after.variants.every((variant) => {
      const old = present.get(variant._id);
      return old && OF_VARIANT.every((field) => isDeepStrictEqual(old[field], variant[field]));
    });
  if (!sameVariants) fields.push("variants");
  return { fields, ...(prices.length > 0 ? { prices } : {}) };
}

/**
 * What the audit log keeps of a product that was made, changed, deleted or restored.
 * @param before the product as it was, where it changed
 */
export const auditDetailOf = (
  after: ProductDocument,
  before?: ProductDocument,
): Record<string, JsonValue> => ({
  id: after._id,
  name: after.name,
  ...(before ? differences(before, after) : {}),
});

import { z } from "zod";
import { minorDigits } from "../../lib/money";
import { canonicalKey } from "../../lib/text";
import type { EventProduct } from "../model";
import type { EventKind } from "./spec";

const text = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u);
const textOrNumber = z.union([text, z.number().transform(String)]);
const count = z.number().int().min(0).max(1e9);
const decimal = z.union([
  z.number(),
  z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?$/)
    .transform(Number),
]);

/** The first of these properties that is of the kind; undefined when none is. A property may hold anything. */
export function pick<T>(
  properties: Record<string, unknown>,
  schema: z.ZodType<T>,
  ...names: string[]
): T | undefined {
  for (const name of names) {
    const parsed = Object.hasOwn(properties, name) ? schema.safeParse(properties[name]) : undefined;
    if (parsed?.success) return parsed.data;
  }
  return undefined;
}

const productOf = (properties: Record<string, unknown>): EventProduct | null => {
  const id = pick(properties, textOrNumber, "product_id", "productId", "sku");
  return id === undefined ? null : { id, quantity: pick(properties, count, "quantity") ?? 1 };
};

/** Minor units of a decimal amount, as events carry it: 19.99 USD is 1999. */
function moneyOf(properties: Record<string, unknown>): { revenue: number; currency: string | null } {
  const currency = pick(properties, z.string().regex(/^[A-Za-z]{3}$/), "currency")?.toUpperCase() ?? null;
  const amount = pick(properties, decimal, "revenue", "total", "value");
  if (amount === undefined || amount < 0) return { revenue: 0, currency };
  let digits = 2;
  try {
    if (currency !== null) digits = minorDigits(currency);
  } catch {
    return { revenue: 0, currency: null };
  }
  const revenue = Math.round(amount * 10 ** digits);
  return Number.isSafeInteger(revenue) && revenue <= 1e12 ? { revenue, currency } : { revenue: 0, currency };
}

/** What reports need of an event's properties. Unreadable ones count as missing; they stay as they are. */
export function meaningOf(kind: EventKind | null, id: string, properties: Record<string, unknown>) {
  const list = Array.isArray(properties.products) ? properties.products : [];
  const single = productOf(properties);
  const listed = list.flatMap((item: unknown) => {
    const product =
      typeof item === "object" && item !== null ? productOf(item as Record<string, unknown>) : null;
    return product === null ? [] : [product];
  });
  // Two lines of one thing are one product of the order.
  const merged = new Map<string, number>();
  for (const { id, quantity } of listed) merged.set(id, (merged.get(id) ?? 0) + quantity);
  const categories = [properties, ...(kind === "order" ? list : [])].flatMap((item: unknown) => {
    const record = typeof item === "object" && item !== null ? (item as Record<string, unknown>) : {};
    const category = pick(record, textOrNumber, "category_id", "categoryId", "category");
    return category === undefined ? [] : [category];
  });
  const searchId = pick(properties, text, "search_id", "searchId") ?? (kind === "search" ? id : null);
  const query = kind === "search" ? pick(properties, z.string().max(1000), "query") : undefined;
  return {
    products:
      kind === "order"
        ? [...merged].map(([id, quantity]) => ({ id, quantity }))
        : single === null
          ? []
          : [single],
    categories: [...new Set(categories)],
    searchId,
    query:
      query === undefined
        ? null
        : canonicalKey(query.replace(/\p{Cc}/gu, " "))
            .replace(/\s+/g, " ")
            .slice(0, 200) || null,
    results: kind === "search" ? (pick(properties, count, "results", "total", "count") ?? null) : null,
    position: pick(properties, count, "position") ?? null,
    orderId: kind === "order" ? (pick(properties, textOrNumber, "order_id", "orderId") ?? null) : null,
    ...(kind === "order" ? moneyOf(properties) : { revenue: 0, currency: null }),
  };
}

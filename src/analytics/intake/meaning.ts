import { z } from "zod";
import { isObject } from "../../lib/json";
import { minorDigits } from "../../lib/money";
import { canonicalKey } from "../../lib/text";
import type { EventProduct, Flag } from "../model";
import { isOrderKind } from "../orders";
import { oneLine } from "./context";
import { cut } from "./shorten";
import type { EventKind } from "./spec";

/** Longest name or id, in characters. */
const MAX_NAME = 200;
const text = z.string().transform(oneLine).pipe(z.string().min(1).max(MAX_NAME));
const textOrNumber = z.union([text, z.number().transform(String)]);
/** The same of what names nobody, so that it may be cut. */
const longText = z
  .string()
  .transform((value) => oneLine(cut(oneLine(value), MAX_NAME)))
  .pipe(z.string().min(1));
const line = z.string().transform(oneLine);
const name = z.union([longText, z.number().transform(String)]);
/** A number as JSON has it or as text, without signs, exponents and thousands: what 1.299 means, nobody can know. */
const decimal = z.union([
  z.number(),
  z
    .string()
    .trim()
    .regex(/^\d{1,12}(\.\d{1,10})?$/)
    .transform(Number),
]);
const count = decimal.pipe(z.number().int().min(0).max(1e9));

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

/** Whether one of these properties says anything. */
const isStated = (properties: Record<string, unknown>, ...names: string[]): boolean =>
  names.some((name) => {
    const value = Object.hasOwn(properties, name) ? properties[name] : null;
    return value !== null && value !== undefined && (typeof value !== "string" || value.trim() !== "");
  });

/** A number of properties; undefined when it is not there, and flagged when it is but cannot be read. */
function numberOf(
  properties: Record<string, unknown>,
  flags: Set<Flag>,
  flag: Flag,
  ...names: string[]
): number | undefined {
  const number = pick(properties, count, ...names);
  if (number === undefined && isStated(properties, ...names)) flags.add(flag);
  return number;
}

/** A product of an event. `sku` when only that names it: the catalogue knows the product's id. */
export type NamedProduct = EventProduct & { sku?: string };

function productOf(properties: Record<string, unknown>, flags: Set<Flag>): NamedProduct | null {
  const id = pick(properties, textOrNumber, "product_id", "productId");
  const sku = id === undefined ? pick(properties, textOrNumber, "sku") : undefined;
  const named = id ?? sku;
  if (named === undefined) return null;
  const quantity = numberOf(properties, flags, "unreadable_quantity", "quantity") ?? 1;
  return { id: named, quantity, ...(sku === undefined ? {} : { sku }) };
}

const isCode = z
  .string()
  .trim()
  .regex(/^[A-Za-z]{3}$/);

/** Minor units of a decimal amount, as events carry it: 19.99 USD is 1999. */
function minorOf(amount: number | undefined, currency: string | null): number | undefined {
  if (amount === undefined || amount < 0) return undefined;
  const minor = Math.round(Number((amount * 10 ** minorDigits(currency ?? "XXX")).toPrecision(15)));
  return minor <= 1e12 ? minor : undefined;
}

/** What the lines of an order come to; undefined when one of them has no price. */
function sumOf(lines: Record<string, unknown>[], currency: string | null): number | undefined {
  let sum = 0;
  for (const line of lines) {
    const price = minorOf(pick(line, decimal, "price"), currency);
    if (price === undefined) return undefined;
    sum += price * (pick(line, count, "quantity") ?? 1);
  }
  return lines.length > 0 && sum <= 1e12 ? sum : undefined;
}

function moneyOf(
  kind: EventKind,
  properties: Record<string, unknown>,
  lines: Record<string, unknown>[],
  flags: Set<Flag>,
): { revenue: number; currency: string | null; amountMissing?: true } {
  const currency = pick(properties, isCode, "currency")?.toUpperCase() ?? null;
  if (currency === null && isStated(properties, "currency")) flags.add("unreadable_currency");
  const names = ["revenue", "total", "value", ...(kind === "refund" ? ["amount"] : [])];
  const stated = isStated(properties, ...names);
  const revenue = stated
    ? minorOf(pick(properties, decimal, ...names), currency)
    : kind === "refund"
      ? sumOf(lines, currency)
      : undefined;
  if (stated && revenue === undefined) flags.add("unreadable_amount");
  // A refund without an amount is one of the whole order, unless it names some of its products.
  if (!stated && revenue === undefined && (kind === "order" || lines.length > 0)) flags.add("missing_amount");
  return revenue === undefined ? { revenue: 0, currency, amountMissing: true } : { revenue, currency };
}

/** Two lines of one thing are one product of the order. */
export function mergeProducts(products: EventProduct[]): EventProduct[] {
  const merged = new Map<string, number>();
  for (const { id, quantity } of products) merged.set(id, (merged.get(id) ?? 0) + quantity);
  return [...merged].map(([id, quantity]) => ({ id, quantity }));
}

function queryOf(properties: Record<string, unknown>): string | null {
  const query = pick(properties, z.string(), "query")?.slice(0, 1000);
  return query === undefined
    ? null
    : canonicalKey(query.replace(/\p{Cc}/gu, " "))
        .replace(/\s+/g, " ")
        .slice(0, 200) || null;
}

/**
 * What reports need of an event's properties, which stay as they are. What is there and cannot be read is flagged.
 * @param flags gets what is wrong
 */
export function meaningOf(
  kind: EventKind | null,
  id: string,
  properties: Record<string, unknown>,
  flags: Set<Flag>,
) {
  const ordered = isOrderKind(kind);
  const listed = properties.products ?? [];
  const lines = (Array.isArray(listed) ? listed : []).filter(isObject);
  const isList = Array.isArray(listed) && lines.length === listed.length;
  const products = ordered ? lines.map((line) => productOf(line, flags)) : [productOf(properties, flags)];
  // Units of what has no id are in no report.
  if (ordered && (!isList || products.includes(null))) flags.add("unreadable_product");
  const categories = [properties, ...(kind === "order" ? lines : [])].flatMap((record) => {
    const names = ["category_id", "categoryId", "category"];
    const category = pick(record, name, ...names);
    if ((pick(record, line, ...names)?.length ?? 0) > MAX_NAME) flags.add("shortened");
    return category === undefined ? [] : [category];
  });
  const results = () => numberOf(properties, flags, "unreadable_number", "results", "total", "count") ?? null;
  return {
    products: products.filter((product) => product !== null),
    categories: [...new Set(categories)],
    searchId: pick(properties, text, "search_id", "searchId") ?? (kind === "search" ? id : null),
    query: kind === "search" ? queryOf(properties) : null,
    results: kind === "search" ? results() : null,
    position: numberOf(properties, flags, "unreadable_number", "position") ?? null,
    orderId: ordered ? (pick(properties, textOrNumber, "order_id", "orderId") ?? null) : null,
    ...(kind === "refund" || kind === "cancel"
      ? { refundId: pick(properties, textOrNumber, "refund_id", "refundId") ?? null }
      : {}),
    ...(kind !== null && ordered ? moneyOf(kind, properties, lines, flags) : { revenue: 0, currency: null }),
  };
}

// Longer than others: each filter and sort with its reading and its meaning, the one list of what is allowed.
/**
 * The filters and sorts of product lists: an allow-list. What a request says becomes one of these values and
 * never a query.
 */
import { z } from "zod";
import type { FieldCode } from "../lib/errors";
import { isCurrency } from "../lib/money";
import { canonicalKey, isId } from "../lib/text";
import { PRODUCT_STATUSES, type ProductStatus } from "./model";
import { GTIN, gtinKeyOf } from "./shown";

/** Sorts by name of their field; each ends in the id, so that no two rows are equal. */
export const SORTS = {
  createdAt: "createdAt",
  price: "price",
  name: "nameKey",
  popularity: "popularity",
} as const;

export type SortName = keyof typeof SORTS;

export const INCLUDES = ["images", "variants", "categories", "breadcrumbs", "stock"] as const;
export type Include = (typeof INCLUDES)[number];

/** What a list is asked for. */
export interface ProductFilter {
  status: ProductStatus;
  /**
   * Id, slug or path of a category, in canonical form; its descendants are meant too. A store takes an id alone: see
   * `resolveFilter`.
   */
  category?: string;
  /** One of these. */
  ids?: string[];
  /** One of these is a variant's, in canonical form. */
  skus?: string[];
  /** One of these is a variant's, in the form of 14 digits. */
  gtins?: string[];
  /** Canonical. */
  brand?: string;
  /** ISO 4217. Amounts of different currencies are not compared: see `requireCurrency`. */
  currency?: string;
  priceFrom?: number;
  priceTo?: number;
  inStock?: boolean;
  /** `key=value` in canonical form: one of each list must be there. */
  attrs: string[][];
}

export interface ProductListQuery {
  filter: ProductFilter;
  sort: { name: SortName; descending: boolean };
  limit: number;
  cursor: string | undefined;
  include: Include[];
  count: boolean;
}

/** `attr.color` and the like, in its canonical form, as it is indexed. */
export const attrKeyOf = (key: string, value: string | number | boolean): string =>
  `${canonicalKey(key)}=${typeof value === "string" ? canonicalKey(value) : String(value)}`;

const minor = (text: string): number | undefined => {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
};

/**
 * Longest cursor: base64 of its code (16 bytes), hash and id with their JSON (67), and the longest key, which is that
 * of a name of 500 characters, with up to 5 bytes for each (ᾀ becomes ἀι). What a query may hold as a whole is
 * bounded by `http/input.ts`.
 */
const MAX_CURSOR = Math.ceil(((16 + 67 + 500 * 5) * 4) / 3);

const SORT = /^(-?)(createdAt|price|name|popularity)$/;
const ATTR = /^filter\[attr\.([\p{L}\p{N}\p{M}\p{Join_Control}_-]{1,50})\]$/u;
const PLACE = /^[^\p{Cc}]{1,2000}$/u;
/** Most ids, SKUs or GTINs that one list is asked for. */
const MAX_KEYS = 100;

/** What is said of a key's value when it is not taken. */
type Fault = (key: string, message: string, code?: FieldCode) => void;

/** Reads one of the keys that name products; each gives values in the form that is stored. */
const NAMED: Record<
  string,
  { field: "ids" | "skus" | "gtins"; what: string; read(text: string): string | null }
> = {
  "filter[id]": {
    field: "ids",
    what: "ids",
    read: (text) => (isId(canonicalKey(text)) ? canonicalKey(text) : null),
  },
  "filter[sku]": {
    field: "skus",
    what: "SKUs",
    read: (text) => (text.trim() === "" || text.length > 100 ? null : canonicalKey(text)),
  },
  "filter[gtin]": {
    field: "gtins",
    what: "GTINs of 8, 12, 13 or 14 digits",
    read: (text) => (GTIN.test(text) ? gtinKeyOf(text) : null),
  },
};

function readNamed(filter: ProductFilter, key: string, given: string, fault: Fault): void {
  const named = NAMED[key];
  if (named === undefined) return;
  const texts = given.split(",");
  const values = texts.map((text) => named.read(text.trim()));
  if (texts.length > MAX_KEYS || values.includes(null)) {
    fault(key, `must be 1 to ${MAX_KEYS} ${named.what}, separated by commas`);
  } else filter[named.field] = [...new Set(values as string[])];
}

function readPrice(filter: ProductFilter, key: string, given: string, fault: Fault): void {
  const amount = minor(given);
  if (amount === undefined) fault(key, "must be a whole number of minor units");
  else filter[key === "filter[price][gte]" ? "priceFrom" : "priceTo"] = amount;
}

/** Values with commas between them; a backslash goes before a comma or a backslash that is meant. */
function splitValues(given: string): string[] {
  const values = [""];
  for (const [piece] of given.matchAll(/\\[\\,]|[\s\S]/gu)) {
    if (piece === ",") values.push("");
    else values[values.length - 1] += piece.length === 2 && piece.startsWith("\\") ? piece.slice(1) : piece;
  }
  return values;
}

/** What a value may stand for: the text, or the number, however it is written (1.50 and 1.5). */
const attrKeysOf = (attr: string, value: string): string[] => {
  const number = /^\s*[+-]?\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?\s*$/i.test(value)
    ? Number(value)
    : Number.NaN;
  return [attrKeyOf(attr, value), ...(Number.isFinite(number) ? [attrKeyOf(attr, number)] : [])];
};

function readAttribute(filter: ProductFilter, attr: string, key: string, given: string, fault: Fault): void {
  const values = splitValues(given).filter((value) => value !== "");
  if (values.length === 0 || values.length > 20) fault(key, "must be 1 to 20 values, separated by commas");
  else filter.attrs.push([...new Set(values.flatMap((value) => attrKeysOf(attr, value)))]);
}

/**
 * Reads one filter of a query into `filter`.
 * @returns false when the key is no filter of products
 */
function readFilter(filter: ProductFilter, key: string, given: string, fault: Fault): boolean {
  const attr = ATTR.exec(key)?.[1];
  if (attr !== undefined) {
    readAttribute(filter, attr, key, given, fault);
    if (filter.attrs.length > 10) fault("filter", "must name at most 10 attributes");
    return true;
  }
  switch (key) {
    case "filter[id]":
    case "filter[sku]":
    case "filter[gtin]":
      readNamed(filter, key, given, fault);
      return true;
    case "filter[status]":
      if (!(PRODUCT_STATUSES as readonly string[]).includes(given)) {
        fault(key, "must be draft, active or archived");
      } else filter.status = given as ProductStatus;
      return true;
    case "filter[category]":
      if (!PLACE.test(given) || /(?:^|\/)\.{0,2}(?:\/|$)/.test(given)) {
        fault(key, "must be the id, the slug or the path of a category");
      } else filter.category = canonicalKey(given);
      return true;
    case "filter[brand]":
      if (given.trim() === "" || given.length > 200) fault(key, "must be 1 to 200 characters");
      else filter.brand = canonicalKey(given);
      return true;
    case "filter[currency]":
      if (!isCurrency(given)) fault(key, "must be an ISO 4217 code such as USD");
      else filter.currency = given;
      return true;
    case "filter[price][gte]":
    case "filter[price][lte]":
      readPrice(filter, key, given, fault);
      return true;
    case "filter[inStock]":
      if (given !== "true" && given !== "false") fault(key, "must be true or false");
      else filter.inStock = given === "true";
      return true;
    default:
      return false;
  }
}

/** Reads `include`. */
function readInclude(include: Include[], key: string, given: string, fault: Fault): void {
  for (const part of new Set(given.split(","))) {
    if ((INCLUDES as readonly string[]).includes(part)) include.push(part as Include);
    else fault(key, `must be of ${INCLUDES.join(", ")}`);
  }
}

/** The query of a list without parameters. */
export const defaultList = (): ProductListQuery => ({
  filter: { status: "active", attrs: [] },
  sort: { name: "createdAt", descending: true },
  limit: 20,
  cursor: undefined,
  include: [],
  count: false,
});

/**
 * Reads one key of the query of a list of products, a search's too, into `list`.
 * @returns false when no such list knows the key
 */
export function readListKey(list: ProductListQuery, key: string, given: string, fault: Fault): boolean {
  switch (key) {
    case "limit": {
      const limit = minor(given) ?? 0;
      if (limit < 1 || limit > 100) fault(key, "must be between 1 and 100");
      else list.limit = limit;
      return true;
    }
    case "cursor":
      if (given.length > MAX_CURSOR) fault(key, "is too long");
      else list.cursor = given;
      return true;
    case "count":
      if (given !== "true" && given !== "false") fault(key, "must be true or false");
      else list.count = given === "true";
      return true;
    case "sort": {
      const [, minus, name] = SORT.exec(given) ?? [];
      if (name === undefined)
        fault(key, "must be createdAt, price, name or popularity, with - for descending");
      else list.sort = { name: name as SortName, descending: minus === "-" };
      return true;
    }
    case "include":
      readInclude(list.include, key, given, fault);
      return true;
    default:
      return readFilter(list.filter, key, given, fault);
  }
}

export const UNKNOWN_FIELD = "is not a known field; remove it or check its spelling";

export const parameter = (description: string) =>
  z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe(description);

/** What every list of products takes, for its description. */
export const LIST_PARAMETERS = {
  "filter[id]": parameter("Ids, with commas between them"),
  "filter[sku]": parameter("SKUs, with commas between them"),
  "filter[gtin]": parameter("GTINs, with commas between them"),
  "filter[category]": parameter("Id, slug or path of a category; products below it are meant too"),
  "filter[brand]": parameter("A brand"),
  "filter[status]": parameter("active (the default), draft or archived; the others need products:write"),
  "filter[currency]": parameter(
    "Products whose price is in this currency; needed with price filters and sorts once there are several",
  ),
  "filter[price][gte]": parameter("Least price, in minor units"),
  "filter[price][lte]": parameter("Greatest price, in minor units"),
  "filter[inStock]": parameter("true or false"),
  sort: parameter("createdAt, price, name or popularity, with - before it for descending"),
  include: parameter("images, variants, categories, breadcrumbs and stock, with commas between them"),
  limit: parameter("Items of a page: 1 to 100, 20 when not given"),
  cursor: parameter("nextCursor of the page before"),
  count: parameter("true for a total, which is capped at 10,000"),
};

/**
 * The query as it comes: what a key means is read by hand, because the keys of attributes (`filter[attr.color]`) are
 * the shop's own.
 */
const rawQuery = z.object(LIST_PARAMETERS).catchall(z.union([z.string(), z.array(z.string())]));

/** Reads the query of a product list. Unknown keys, and keys that come twice, are faults. */
export const productListSchema = rawQuery.transform((query, ctx): ProductListQuery => {
  const list = defaultList();
  const fault: Fault = (key, message, code = "invalid") =>
    ctx.addIssue({ code: "custom", path: [key.slice(0, 100)], message, params: { code } });
  for (const [key, given] of Object.entries(query)) {
    if (given === undefined) continue;
    if (Array.isArray(given)) fault(key, "must be given once");
    else if (!readListKey(list, key, given, fault)) fault(key, UNKNOWN_FIELD, "unknown_field");
  }
  return list;
});

/** `include` by itself. */
export const includeSchema = z
  .string()
  .optional()
  .transform((given, ctx) => {
    const include: Include[] = [];
    if (given !== undefined) {
      readInclude(include, "include", given, (_, message) => ctx.addIssue({ code: "custom", message }));
    }
    return include;
  });

/** The query of one product: `include` alone. Optional as a whole, so that the typed client need not name it. */
export const productReadSchema = z.strictObject({ include: includeSchema }).optional();

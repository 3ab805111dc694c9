/**
 * The filters and sorts of product lists: an allow-list. What a request says becomes one of these values and
 * never a query.
 */
import { z } from "zod";
import { canonicalKey } from "../canonical";
import { PRODUCT_STATUSES, type ProductStatus } from "./model";

/** Sorts by name of their field; each ends in the id, so that no two rows are equal. */
export const SORTS = {
  createdAt: "createdAt",
  price: "price",
  name: "nameKey",
  popularity: "popularity",
} as const;

export type SortName = keyof typeof SORTS;

export const INCLUDES = ["variants", "categories", "stock"] as const;
export type Include = (typeof INCLUDES)[number];

/** What a list is asked for. */
export interface ProductFilter {
  status: ProductStatus;
  /** Id of a category; its descendants are meant too. */
  category?: string;
  /** Canonical. */
  brand?: string;
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
const ATTR = /^filter\[attr\.([\p{L}\p{N}_-]{1,50})\]$/u;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Reads the query of a product list. Unknown keys, and keys that come twice, are faults. */
export const productListSchema = z
  .record(z.string(), z.union([z.string(), z.array(z.string())]))
  .transform((query, ctx): ProductListQuery => {
    const list: ProductListQuery = {
      filter: { status: "active", attrs: [] },
      sort: { name: "createdAt", descending: true },
      limit: 20,
      cursor: undefined,
      include: [],
      count: false,
    };
    const fault = (key: string, message: string) =>
      ctx.addIssue({ code: "custom", path: [key.slice(0, 100)], message });
    for (const [key, given] of Object.entries(query)) {
      if (Array.isArray(given)) {
        fault(key, "must be given once");
        continue;
      }
      const attr = ATTR.exec(key)?.[1];
      if (attr !== undefined) {
        const values = given.split(",").filter((value) => value !== "");
        if (values.length === 0 || values.length > 20)
          fault(key, "must be 1 to 20 values, separated by commas");
        else list.filter.attrs.push(values.map((value) => attrKeyOf(attr, value)));
        continue;
      }
      switch (key) {
        case "limit": {
          const limit = minor(given) ?? 0;
          if (limit < 1 || limit > 100) fault(key, "must be between 1 and 100");
          else list.limit = limit;
          break;
        }
        case "cursor":
          if (given.length > MAX_CURSOR) fault(key, "is too long");
          else list.cursor = given;
          break;
        case "count":
          if (given !== "true" && given !== "false") fault(key, "must be true or false");
          else list.count = given === "true";
          break;
        case "sort": {
          const [, minus, name] = SORT.exec(given) ?? [];
          if (name === undefined)
            fault(key, "must be createdAt, price, name or popularity, with - for descending");
          else list.sort = { name: name as SortName, descending: minus === "-" };
          break;
        }
        case "include":
          for (const part of given.split(",")) {
            if (!(INCLUDES as readonly string[]).includes(part))
              fault(key, `must be of ${INCLUDES.join(", ")}`);
            else list.include.push(part as Include);
          }
          break;
        case "filter[status]":
          if (!(PRODUCT_STATUSES as readonly string[]).includes(given)) {
            fault(key, "must be draft, active or archived");
          } else list.filter.status = given as ProductStatus;
          break;
        case "filter[category]":
          if (!UUID.test(given)) fault(key, "must be the id of a category");
          else list.filter.category = given;
          break;
        case "filter[brand]":
          if (given.trim() === "" || given.length > 200) fault(key, "must be 1 to 200 characters");
          else list.filter.brand = canonicalKey(given);
          break;
        case "filter[price][gte]":
        case "filter[price][lte]": {
          const amount = minor(given);
          if (amount === undefined) fault(key, "must be a whole number of minor units");
          else list.filter[key === "filter[price][gte]" ? "priceFrom" : "priceTo"] = amount;
          break;
        }
        case "filter[inStock]":
          if (given !== "true" && given !== "false") fault(key, "must be true or false");
          else list.filter.inStock = given === "true";
          break;
        default:
          fault(key, "is not a known key here");
      }
    }
    if (list.filter.attrs.length > 10) fault("filter", "must name at most 10 attributes");
    return list;
  });

/** What imports and exports hand from one step to the next. */
import type { ProductStatus } from "../model";

export const FORMATS = ["ndjson", "csv"] as const;
export type Format = (typeof FORMATS)[number];

/** Other shop systems whose CSV exports are read as they are. */
export const SHOPS = ["shopify", "woocommerce", "medusa"] as const;
export type Shop = (typeof SHOPS)[number];

/**
 * What a file says of one product, before it is checked: `value`, or a `fault`, or neither when it says nothing.
 * `row` and `last` are its first and last row, counted as people see them: lines of NDJSON from 1, rows of CSV
 * with the header as row 1.
 */
export interface ReadLine {
  row: number;
  last: number;
  /** Characters, roughly: what it takes in memory. */
  size: number;
  value?: unknown;
  fault?: string;
  /** Currency signs beside the prices of each variant, which say its currency. */
  signs?: string[][];
  /** The row of each of `value.variants`, where they have rows of their own. */
  variantRows?: number[];
}

/** Why a row could not be imported. */
export interface ImportFault {
  row: number;
  message: string;
}

/** How far an import is, and what became of its lines so far. A later try goes on behind `rows`. */
export interface ImportProgress {
  /** Rows of the file that are done with, a header included. */
  rows: number;
  /** Bytes of the file that were read. */
  bytes: number;
  /** Products. */
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
  /** Of a file of another shop: what it holds and the import leaves out, and how many rows do. */
  ignored?: Record<string, number>;
}

/** A product as a line of an export: what an import of it makes again. Prices are decimal texts. */
export interface ExportedProduct {
  slug: string;
  name: string;
  description: string;
  brand: string | null;
  status: ProductStatus;
  categories: string[][];
  attrs: { key: string; value: string | number | boolean; unit: string | null }[];
  metadata: Record<string, unknown>;
  popularity: number;
  variants: {
    sku: string;
    name: string | null;
    price: string;
    currency: string;
    compareAtPrice: string | null;
    gtin: string | null;
    weight: number | null;
    options: { name: string; value: string }[];
  }[];
}

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
  /** It is of a table, in which numbers may be written as people write them. */
  isTable?: boolean;
  /** Currency signs beside the prices of each variant, which say its currency. */
  signs?: string[][];
  /** The row of each of `value.variants`, where they have rows of their own. */
  variantRows?: number[];
  /** Pictures that lie elsewhere, in their order. */
  pictures?: LinePicture[];
}

/** A picture of a product, as a file of another shop names it. */
export interface LinePicture {
  row: number;
  address: string;
  alt: string;
  /** Which of `value.variants` it shows; the whole product when there are none. */
  variants: number[];
}

/** Why a row could not be imported. */
export interface ImportFault {
  row: number;
  message: string;
  /** What all faults like it have in common; made from the message when it is left out. */
  kind?: string;
  /** Tells it from others of its row that are told at another time. */
  place?: string;
}

/** Faults of one kind: the first, and how many there are. */
export interface FaultKind extends ImportFault {
  kind: string;
  count: number;
}

/** A product as an import would make or leave it. */
export interface SampleProduct {
  row: number;
  outcome: "created" | "updated" | "unchanged";
  slug: string;
  name: string;
  status: ProductStatus;
  brand: string | null;
  categories: string[][];
  pictures: number;
  variantCount: number;
  /** The first of them. */
  variants: { sku: string; price: string; currency: string; options: string[] }[];
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
  /** Lines that are done with: a file of another shop goes on behind them, whose products are not in the order of rows. */
  lines?: number;
  /** What a file holds that is left out or has no effect, and in how many rows. */
  ignored?: Record<string, number>;
  /** Refused rows by what is wrong with them. */
  kinds?: FaultKind[];
  /** Of a dry run: the first products. */
  samples?: SampleProduct[];
  /** Pictures that the file names: how many products had already, got, or cannot have. */
  pictures?: { found: number; there: number; added: number; failed: number };
  /** All rows are done with, and the pictures are under way. */
  stage?: "pictures";
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

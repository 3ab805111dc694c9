/** What the readers of other shops' files share. */
import { gtinSchema } from "../../fields";
import type { LinePicture } from "../shapes";

/** A row by the names of its columns, in any case. */
export interface ShopRow {
  row: number;
  size: number;
  /** What could not be read; the row's product is refused then. */
  faults: string[];
  get(column: string): string;
  /** The number of a cell with a decimal point. One that could mean two things is a fault. */
  number(column: string): string;
}

/** One variant of another shop, as a line says it. */
export type ShopVariant = Record<string, unknown> & { options?: { name: string; value: string }[] };

/** A product of another shop: what a line of ours says, with the rows that it is made of. */
export interface ShopProduct {
  /** Of the product itself. */
  value: Record<string, unknown>;
  variants: ShopVariant[];
  /** The row of each variant. */
  rows: number[];
  pictures: LinePicture[];
  /** The product's own row. */
  row: number;
  last: number;
  size: number;
  faults: { row: number; fault: string }[];
}

/** Hears of what a file holds and the import leaves out, by its name. */
export type OnIgnored = (what: string) => void;

/** Reads the rows of one file; products come when all their rows were read. */
export interface ShopReader {
  /** Columns that this shop's file must have, each by one of its names. */
  needs: readonly (readonly string[])[];
  /** Whether a column is known by its name. */
  knows(column: string): boolean;
  /** Sees each row before any is read. */
  survey?(row: ShopRow): void;
  read(rows: AsyncIterable<ShopRow>, onIgnored: OnIgnored): AsyncGenerator<ShopProduct>;
}

/** Begins a product with its first row. */
export const begin = (value: Record<string, unknown>, { row }: ShopRow): ShopProduct => ({
  ...{ value, variants: [], rows: [], pictures: [], row, last: row, size: 0, faults: [] },
});

/** Takes a row into a product. */
export function take(product: ShopProduct, { row, size, faults }: ShopRow): void {
  product.last = Math.max(product.last, row);
  product.size += size;
  product.faults.push(...faults.map((fault) => ({ row, fault })));
}

/** Adds a picture, of a variant if one is named; an address that is there already gets the variant. */
export function addPicture(
  product: ShopProduct,
  row: number,
  address: string,
  alt = "",
  variant?: number,
): void {
  if (address === "") return;
  const found = product.pictures.find((picture) => picture.address === address);
  const picture = found ?? { row, address, alt: "", variants: [] };
  if (picture.alt === "") picture.alt = alt;
  if (variant !== undefined && !picture.variants.includes(variant)) picture.variants.push(variant);
  if (!found) product.pictures.push(picture);
}

/** Fields that say something. */
export const filled = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""));

/** A barcode, if it is a GTIN; others are told and left out. */
export function gtinOf(barcode: string, onIgnored: OnIgnored): string | undefined {
  const digits = barcode.replace(/^'/, "").trim();
  if (digits === "") return undefined;
  if (gtinSchema.safeParse(digits).success) return digits;
  onIgnored("barcodes that are no GTIN");
  return undefined;
}

/** Grams in units that shops write. */
const UNITS: Record<string, number> = { g: 1, kg: 1000, lb: 453.59237, lbs: 453.59237, oz: 28.349523125 };

/** A weight in grams, to the milligram; text that is no number stays, and is a fault of its row. */
export function gramsOf(number: string, unit: string): number | string | undefined {
  if (number.trim() === "") return undefined;
  const factor = Object.hasOwn(UNITS, unit.toLowerCase()) ? UNITS[unit.toLowerCase()] : undefined;
  return /^\d+(?:\.\d+)?$/.test(number) && factor !== undefined
    ? Math.round(Number(number) * factor * 1000) / 1000
    : number;
}

/** Names with commas between them; a comma that is meant has a backslash. */
export const listOf = (text: string): string[] =>
  text
    .split(/(?<!\\),/)
    .map((name) => name.replaceAll("\\,", ",").trim())
    .filter((name) => name !== "");

/** "A > B" as a path; a name that is missing stays empty, and is a fault of its row. */
export const pathOf = (text: string): string[] =>
  text.trim() === "" ? [] : text.split(">").map((name) => name.trim());

/** What goes into `metadata`; nothing when there is nothing, so that it stays as it is. */
export const metadataOf = (tags: string[], more: Record<string, unknown> = {}) => {
  const metadata = { ...(tags.length === 0 ? {} : { tags: [...new Set(tags)] }), ...more };
  return Object.keys(metadata).length === 0 ? undefined : metadata;
};

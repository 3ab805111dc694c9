/** What the readers of other shops' files share. */
import { gtinSchema } from "../../fields";
import { type NumberStyle, readNumber } from "../numbers";

/** A row by the names of its columns; a cell that is asked for counts as known. */
export interface ShopRow {
  row: number;
  size: number;
  get(column: string): string;
}

/** One variant of another shop, as a line says it. */
export type ShopVariant = Record<string, unknown> & { options?: { name: string; value: string }[] };

/** A product of another shop: what a line of ours says, with the row of each variant. */
export interface ShopProduct {
  value: Record<string, unknown>;
  rows: number[];
  last: number;
  size: number;
}

/** Hears of what a file holds and the import leaves out, by its name. */
export type OnIgnored = (what: string) => void;

/** Reads the rows of a file; products come when all their rows were read. */
export interface ShopReader {
  /** Columns that this shop's file must have. */
  needs: readonly string[];
  /** Whether a column is known by its name. */
  knows(column: string): boolean;
  read(rows: AsyncIterable<ShopRow>, onIgnored: OnIgnored): AsyncGenerator<ShopProduct>;
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
export function gramsOf(text: string, unit: string, style: NumberStyle = {}): number | string | undefined {
  if (text.trim() === "") return undefined;
  const { text: digits } = readNumber(text, style);
  const factor = Object.hasOwn(UNITS, unit.toLowerCase()) ? UNITS[unit.toLowerCase()] : undefined;
  return /^\d+(?:\.\d+)?$/.test(digits) && factor !== undefined
    ? Math.round(Number(digits) * factor * 1000) / 1000
    : text;
}

/** Names with commas between them. */
export const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");

/** "A > B" as a path. */
export const pathOf = (text: string): string[] =>
  text
    .split(">")
    .map((name) => name.trim())
    .filter((name) => name !== "");

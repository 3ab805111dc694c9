import { slugify } from "../../../lib/text";
import { BadCell } from "../cells";
import { decode, records } from "../records";
import type { ReadLine, Shop } from "../shapes";
import { medusa } from "./medusa";
import type { OnIgnored, ShopProduct, ShopReader, ShopRow, ShopVariant } from "./shop";
import { shopify } from "./shopify";
import { woocommerce } from "./woocommerce";

function readerOf(shop: Shop, header: string[], currency: string): ShopReader {
  if (shop === "shopify") return shopify;
  if (shop === "woocommerce") return woocommerce;
  const named = header.flatMap((column) => /^(?:Variant )?Price ([A-Z]{3})$/.exec(column)?.[1] ?? []);
  return medusa([...new Set([...named.filter((one) => one === currency), ...named])]);
}

/** The rows of a file by their columns; what fills a column that is not known is told. */
async function* rowsOf(
  file: AsyncIterable<string[]>,
  header: string[],
  reader: ShopReader,
  onIgnored: OnIgnored,
): AsyncGenerator<ShopRow> {
  const places = new Map(header.map((column, index) => [column, index]));
  let row = 1;
  for await (const record of file) {
    row++;
    if (record.every((cell) => cell.trim() === "")) continue;
    const cells = record.map((cell) => decode(cell).trim());
    for (const [index, cell] of cells.entries()) {
      const column = header[index] ?? "";
      if (cell !== "" && !reader.knows(column)) onIgnored(column === "" ? "cells without a column" : column);
    }
    const size = cells.reduce((sum, cell) => sum + cell.length, 0);
    yield { row, size, get: (column) => cells[places.get(column) ?? -1] ?? "" };
  }
}

/** A variant that neither SKU nor options tell apart is its product's only one. */
function named({ slug, name }: Record<string, unknown>, variant: ShopVariant): ShopVariant {
  if (variant.sku !== undefined || (variant.options?.length ?? 0) > 0) return variant;
  return {
    ...variant,
    sku: slugify(String(slug ?? name ?? ""))
      .toUpperCase()
      .slice(0, 100),
  };
}

function lineOf({ value, rows, last, size }: ShopProduct): ReadLine {
  const variants = (value.variants as ShopVariant[]).map((variant) => named(value, variant));
  const row = rows[0] ?? last;
  if (variants.length === 0) return { row, last, size, fault: "has no variant with a price" };
  return { row, last, size, value: { ...value, variants }, variantRows: rows };
}

/**
 * Reads the CSV export of another shop system: each product a line.
 * @param currency the shop's, for files that do not say one
 * @param onIgnored hears of each row that fills something which the import leaves out
 */
export async function* readShop(
  shop: Shop,
  stream: AsyncIterable<Uint8Array>,
  currency: string,
  onIgnored: OnIgnored,
): AsyncGenerator<ReadLine> {
  const file = records(stream);
  try {
    const first = await file.next();
    const header = first.done ? [] : first.value.map((cell) => decode(cell).trim());
    const reader = readerOf(shop, header, currency);
    const missing = reader.needs.find((column) => !header.includes(column));
    if (missing !== undefined) {
      yield {
        row: 1,
        last: 1,
        size: 0,
        fault: `is no export of ${shop}: the column "${missing}" is not there`,
      };
      return;
    }
    for await (const product of reader.read(rowsOf(file, header, reader, onIgnored), onIgnored)) {
      yield lineOf(product);
    }
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    yield { row: 1, last: 1, size: 0, fault: `the file ${error.message}` };
  }
}

/** The rows of another shop's CSV by their columns. */
import { BadCell, bare, bareCode } from "../cells";
import { compareStyles, type NumberStyle, noteNumber, readNumber } from "../numbers";
import { decode, records } from "../records";
import type { OnIgnored, ShopReader, ShopRow } from "./shop";

/** Columns of numbers that one hand writes: all prices in one way, all weights in one. */
const NUMBERS: [RegExp, "price" | "weight"][] = [
  [/price/i, "price"],
  [/weight|grams/i, "weight"],
];
const kindOf = (column: string) => NUMBERS.find(([name]) => name.test(column))?.[1];

/** How a file writes its numbers. */
export interface ShopStyles {
  price: NumberStyle;
  weight: NumberStyle;
}

export const keyOf = (column: string): string => column.trim().toLowerCase();

/** The header of a file, and the records behind it. @throws BadCell */
export async function openShopFile(stream: AsyncIterable<Uint8Array>) {
  const file = records(stream);
  try {
    const first = await file.next();
    return { header: first.done ? [] : first.value.map((cell) => decode(cell).trim()), file };
  } catch (error) {
    await file.return(undefined);
    throw error;
  }
}

/** The rows of a file; empty ones count and say nothing. */
export async function* rowsOf(
  file: AsyncIterable<string[]>,
  header: string[],
  styles: ShopStyles,
): AsyncGenerator<ShopRow & { cells: string[] }> {
  // Of a column that is there twice the first counts.
  const places = new Map(header.map((column, index) => [keyOf(column), index] as const).reverse());
  let row = 1;
  for await (const record of file) {
    row++;
    if (record.every((cell) => cell.trim() === "")) continue;
    const faults: string[] = [];
    const cells = record.map((cell, index) => {
      try {
        return bare(decode(cell).trim());
      } catch (error) {
        if (!(error instanceof BadCell)) throw error;
        faults.push(`${header[index]?.slice(0, 50) ?? "a cell"} ${error.message}`);
        return "";
      }
    });
    const get = (column: string) => cells[places.get(keyOf(column)) ?? -1] ?? "";
    const number = (column: string) => {
      const kind = kindOf(column);
      try {
        const read = readNumber(bareCode(get(column)), kind === undefined ? {} : styles[kind]);
        // A sign is not the export's own: the whole cell is told as no number.
        return read.sign === undefined ? read.text : get(column);
      } catch (error) {
        if (!(error instanceof BadCell)) throw error;
        faults.push(`${column} ${error.message}`);
        return "";
      }
    };
    yield { row, size: cells.reduce((sum, cell) => sum + cell.length, 0), faults, cells, get, number };
  }
}

/** Reads a file for what a row alone does not say: how numbers are written, and what the reader looks for. */
export async function surveyShop(
  stream: AsyncIterable<Uint8Array>,
  readerOf: (header: string[]) => ShopReader,
): Promise<{ styles: ShopStyles; reader: ShopReader }> {
  const styles: ShopStyles = { price: {}, weight: {} };
  let reader: ShopReader | undefined;
  try {
    const { header, file } = await openShopFile(stream);
    reader = readerOf(header);
    const kinds = header.map(kindOf);
    for await (const row of rowsOf(file, header, styles)) {
      for (const [index, kind] of kinds.entries()) {
        if (kind !== undefined) noteNumber(styles[kind], bareCode(row.cells[index] ?? ""), row.row);
      }
      reader.survey?.(row);
    }
  } catch (error) {
    // What is wrong with the file is told where it is read.
    if (!(error instanceof BadCell)) throw error;
  }
  compareStyles([styles.price, styles.weight]);
  return { styles, reader: reader ?? readerOf([]) };
}

/** Tells what fills columns that are not known. */
export async function* known(
  rows: AsyncIterable<ShopRow & { cells: string[] }>,
  header: string[],
  reader: ShopReader,
  onIgnored: OnIgnored,
): AsyncGenerator<ShopRow> {
  const names = header.map((column, index) => {
    if (!reader.knows(column)) return column || "cells without a column";
    const isFirst = header.findIndex((other) => keyOf(other) === keyOf(column)) === index;
    return isFirst ? undefined : `${column}, which is there twice`;
  });
  for await (const row of rows) {
    for (const [index, cell] of row.cells.entries()) {
      const name = index < names.length ? names[index] : "cells without a column";
      if (cell !== "" && name !== undefined) onIgnored(name);
    }
    yield row;
  }
}

/**
 * CSV of the project's own columns: one row a variant. Rows of one product follow each other, with the same slug; what
 * is the product's own stands in the first of them.
 */

import { slugify } from "../../lib/text";
import { MAX_VARIANTS } from "../fields";
import { BadCell, bare, bareCode, cut, json, unmarked } from "./cells";
import { COLUMNS, type Column, PRODUCT_COLUMNS, VARIANT_COLUMNS } from "./columns";
import {
  compareStyles,
  maybeThousands,
  type NumberStyle,
  noteNumber,
  readNumber,
  twoMeanings,
} from "./numbers";
import { decode, records } from "./records";
import type { ReadLine } from "./shapes";

const BY_NAME = new Map(COLUMNS.map((column) => [column.toLowerCase(), column]));

/** Most characters of the rows of one product. */
const MAX_PRODUCT = 4 * 1024 * 1024;

const number = (text: string): unknown =>
  /^\s*\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?\s*$/i.test(text) ? Number(text) : text;

/** Columns of numbers. */
const NUMBERS = ["price", "compareAtPrice", "weight"] as const;
/** Columns of codes, which spreadsheets protect. */
const CODES: ReadonlySet<Column> = new Set(["sku", "gtin", ...NUMBERS, "currency"]);

/** How the columns of numbers are written. */
export type NumberStyles = Partial<Record<Column, NumberStyle>>;

const optional = (text: string): string | undefined => (text === "" ? undefined : text);
const nullable = (text: string): string | null => (text === "" ? null : text);

/** What a cell says, in the form that a line of NDJSON has. An empty one clears what may be empty. */
const READ: Record<Column, (text: string) => unknown> = {
  slug: optional,
  name: optional,
  description: (text) => text,
  brand: nullable,
  status: optional,
  categories: (text) =>
    text === "" ? [] : cut(text, "|").map((path) => cut(path, "/").map((name) => unmarked(name))),
  attrs: (text) => json("attrs", text, []),
  metadata: (text) => json("metadata", text, {}),
  popularity: (text) => (text === "" ? undefined : number(text)),
  sku: optional,
  variant: nullable,
  price: optional,
  currency: optional,
  compareAtPrice: nullable,
  gtin: nullable,
  weight: (text) => (text === "" ? null : number(text)),
  options: (text) =>
    text === ""
      ? []
      : cut(text, "|").map((option) => {
          const [name = "", ...value] = cut(option, "=");
          if (value.length !== 1) throw new BadCell("options must be like Size=M|Colour=Red");
          return { name: unmarked(name), value: unmarked(value[0] ?? "") };
        }),
};

/** What the cells of a row say, apostrophes taken off. */
type Cells = Map<Column, string>;

const say = (cells: Cells, columns: readonly Column[]): Record<string, unknown> =>
  Object.fromEntries(
    columns.flatMap((column) => {
      const text = cells.get(column);
      const value = text === undefined ? undefined : READ[column](text);
      return value === undefined ? [] : [[column === "variant" ? "name" : column, value]];
    }),
  );

/** Rows of one product that are collected until another begins. */
interface Group {
  first: Cells;
  rows: number[];
  variants: unknown[];
  /** The currency signs beside the prices of each variant. */
  signs: string[][];
  size: number;
  fault?: string;
}

const begin = (cells: Cells): Group => ({ first: cells, rows: [], variants: [], signs: [], size: 0 });

function add(group: Group, row: number, { cells, signs, size }: Row): void {
  group.rows.push(row);
  group.signs.push(signs);
  group.size += size;
  try {
    group.variants.push(say(cells, VARIANT_COLUMNS));
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    group.variants.push({});
    group.fault ??= row === group.rows[0] ? error.message : `row ${row}: ${error.message}`;
  }
}

/** Whether a row goes on with the product before it: it repeats or leaves empty what is the product's own. */
function joins(group: Group, cells: Cells): boolean {
  const slug = cells.get("slug");
  const before = group.first.get("slug");
  if (!slug || !before || slugify(slug) !== slugify(before)) return false;
  if (group.variants.length >= MAX_VARIANTS || group.size > MAX_PRODUCT) return false;
  // Without a SKU, its options say which variant a row is.
  const isTold = (row: Cells) => Boolean(row.get("sku") || row.get("options"));
  if (!isTold(cells) || !isTold(group.first)) return false;
  return (
    !cells.get("name") || PRODUCT_COLUMNS.every((column) => cells.get(column) === group.first.get(column))
  );
}

function lineOf({ first, rows, variants, signs, size, fault }: Group): ReadLine {
  const line = { row: rows[0] ?? 0, last: rows.at(-1) ?? 0, size, isTable: true };
  if (fault !== undefined) return { ...line, fault };
  try {
    const own = say(first, first.get("name") || !first.has("name") ? ["slug", ...PRODUCT_COLUMNS] : ["slug"]);
    const [only] = variants as Record<string, unknown>[];
    // Without a SKU it is the product's only variant, which is found by the slug or made with a SKU of its own.
    if (variants.length === 1 && only?.sku === undefined && !first.get("options")) {
      const { price, currency, ...more } = only ?? {};
      if (Object.values(more).some((value) => value !== null && (value as unknown[]).length !== 0)) {
        return { ...line, fault: "sku is needed with variant, compareAtPrice, gtin, weight or options" };
      }
      return {
        ...line,
        signs,
        value: { ...own, ...(price ? { price } : {}), ...(currency ? { currency } : {}) },
      };
    }
    return { ...line, signs, value: { ...own, variants }, variantRows: rows };
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    return { ...line, fault: error.message };
  }
}

/**
 * The columns that a header names; null for one without a name, which must be empty.
 * @throws BadCell when one is unknown or there twice, or none says which product
 */
function columnsOf(header: string[]): (Column | null)[] {
  const columns = header.map((name) => {
    const column = name.trim() === "" ? null : BY_NAME.get(name.trim().toLowerCase());
    if (column === undefined) {
      throw new BadCell(`"${name.slice(0, 50)}" is no column; there are ${COLUMNS.join(", ")}`);
    }
    return column;
  });
  const twice = columns.find((column, index) => column !== null && columns.indexOf(column) !== index);
  if (twice) throw new BadCell(`the column ${twice} is there twice`);
  if (!columns.some((column) => column === "sku" || column === "slug" || column === "name")) {
    throw new BadCell("the header must name sku, slug or name");
  }
  while (columns.at(-1) === null) columns.pop();
  return columns;
}

/** A row with its cells told apart. */
interface Row {
  cells: Cells;
  signs: string[];
  size: number;
}

/** @throws BadCell when a cell is in no column, is not UTF-8, or could mean two things */
function rowOf(record: string[], columns: (Column | null)[], styles: NumberStyles): Row {
  const nameless = record.findIndex((cell, index) => (columns[index] ?? null) === null && cell.trim() !== "");
  if (record.length < columns.length || nameless >= columns.length) {
    throw new BadCell(`has ${record.length} cells instead of ${columns.length}`);
  }
  if (nameless >= 0) throw new BadCell(`has a value in column ${nameless + 1}, which has no name`);
  const signs: string[] = [];
  const cells: Cells = new Map();
  for (const [index, column] of columns.entries()) {
    if (column === null) continue;
    const text = decode(record[index] ?? "");
    cells.set(column, readCell(column, CODES.has(column) ? bareCode(text) : bare(text), styles, signs));
  }
  return { cells, signs, size: record.reduce((sum, cell) => sum + cell.length, 0) };
}

/** A cell with a decimal point, if it is a number; a currency sign goes into `signs`. */
function readCell(column: Column, text: string, styles: NumberStyles, signs: string[]): string {
  const style = styles[column];
  if (!style || text === "") return text;
  try {
    const read = readNumber(text, style);
    if (column === "weight") {
      // Grams in thousandths with a nought at the end: rather thousands of grams.
      if (read.text.endsWith("0") && maybeThousands(read.text)) throw new BadCell(twoMeanings(read.text));
      return read.sign === undefined ? read.text : text;
    }
    if (read.sign === undefined) return read.text;
    signs.push(read.sign);
    return read.text;
  } catch (error) {
    throw error instanceof BadCell ? new BadCell(`${column} ${error.message}`) : error;
  }
}

const isEmpty = (record: string[]): boolean => record.every((cell) => cell.trim() === "");
const newStyles = (): NumberStyles => Object.fromEntries(NUMBERS.map((column) => [column, {}]));

/** How a file writes its numbers: the whole of it is read, since a later row may say what an earlier one leaves open. */
export async function surveyCsv(stream: AsyncIterable<Uint8Array>): Promise<NumberStyles> {
  const styles = newStyles();
  let columns: (Column | null)[] | undefined;
  let row = 0;
  try {
    for await (const record of records(stream)) {
      row++;
      columns ??= columnsOf(record.map(decode));
      if (row === 1) continue;
      for (const [index, column] of columns.entries()) {
        const style = column === null ? undefined : styles[column];
        if (style) noteNumber(style, bareCode(decode(record[index] ?? "")), row);
      }
    }
  } catch (error) {
    // What is wrong with the file is told where it is read.
    if (!(error instanceof BadCell)) throw error;
  }
  compareStyles(Object.values(styles));
  return styles;
}

/**
 * Reads CSV: rows that belong to one product are one line. Empty rows count and say nothing.
 * @param styles what `surveyCsv` found
 */
export async function* readCsv(
  stream: AsyncIterable<Uint8Array>,
  styles: NumberStyles = newStyles(),
): AsyncGenerator<ReadLine> {
  let columns: (Column | null)[] | undefined;
  let group: Group | undefined;
  let row = 0;
  const alone = (fault?: string): ReadLine => ({
    row,
    last: row,
    size: 0,
    ...(fault === undefined ? {} : { fault }),
  });
  try {
    for await (const record of records(stream)) {
      row++;
      if (columns === undefined) {
        columns = columnsOf(record.map(decode));
        continue;
      }
      let fault: string | undefined;
      let read: Row | undefined;
      try {
        if (!isEmpty(record)) read = rowOf(record, columns, styles);
      } catch (error) {
        if (!(error instanceof BadCell)) throw error;
        fault = error.message;
      }
      if (group && !(read && joins(group, read.cells))) {
        yield lineOf(group);
        group = undefined;
      }
      if (!read) {
        yield alone(fault);
        continue;
      }
      group ??= begin(read.cells);
      add(group, row, read);
    }
    if (group) yield lineOf(group);
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    if (group) yield lineOf(group);
    if (columns === undefined) row = 1;
    else row++;
    yield alone(error.message);
  }
}

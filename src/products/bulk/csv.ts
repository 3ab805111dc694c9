/**
 * CSV as RFC 4180 has it, in UTF-8: one row a variant. Rows of one product follow each other, with the same
 * slug; what is the product's own stands in the first of them.
 */
import { Parser } from "csv-parse";
import { canonicalKey } from "../../lib/text";
import { MAX_VARIANTS } from "../fields";
import type { ExportedProduct } from "./export";
import type { ReadLine } from "./read";

/** Columns about the product; a row whose name is empty leaves them alone. */
const PRODUCT_COLUMNS = [
  "name",
  "description",
  "brand",
  "status",
  "categories",
  "attrs",
  "metadata",
  "popularity",
] as const;
/** Columns about the variant of a row. */
const VARIANT_COLUMNS = [
  "sku",
  "variant",
  "price",
  "currency",
  "compareAtPrice",
  "gtin",
  "weight",
  "options",
] as const;
export const COLUMNS = ["slug", ...PRODUCT_COLUMNS, ...VARIANT_COLUMNS] as const;
type Column = (typeof COLUMNS)[number];

const BY_NAME = new Map(COLUMNS.map((column) => [column.toLowerCase(), column]));

/** Longest row, in bytes: a quotation mark that is never closed must not fill the memory. */
const MAX_ROW = 1024 * 1024;
/** Bytes that are parsed in one go. */
const STEP = 64 * 1024;
/** Most characters of the rows of one product. */
const MAX_PRODUCT = 4 * 1024 * 1024;

// ---- Cells: what a spreadsheet must not take for a formula, and lists inside one cell.

/**
 * A cell that a spreadsheet would read as a formula gets an apostrophe in front, which shows it as text (OWASP
 * "CSV injection"; the full-width signs are formulas to some). One that begins so already gets another, so that
 * `bare` gives every text back.
 */
export const harmless = (text: string): string => (/^'*[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text);

/** The text of a cell that `harmless` wrote. */
export const bare = (cell: string): string => (/^'+[=+\-@\t\r\n＝＋－＠]/.test(cell) ? cell.slice(1) : cell);

const quoted = (text: string): string => `"${harmless(text).replaceAll('"', '""')}"`;

const marked = (text: string, marks: RegExp): string => text.replace(marks, "\\$&");

/** Cuts at a mark that no backslash precedes; the parts keep their backslashes. */
const cut = (text: string, mark: string): string[] => {
  if (!text.includes("\\")) return text.split(mark);
  const parts = [""];
  for (const [piece] of text.matchAll(/\\[\s\S]|[\s\S]/g)) {
    if (piece === mark) parts.push("");
    else parts[parts.length - 1] += piece;
  }
  return parts;
};
const unmarked = (text: string): string => text.replace(/\\([\s\S])/g, "$1");

// ---- Writing.

/** One line of CSV. */
export const csvLine = (cells: string[]): string => `${cells.map(quoted).join(",")}\r\n`;

/** The first line, with a byte order mark, without which Excel does not read UTF-8. */
export const csvHeader = (): string => `\ufeff${COLUMNS.join(",")}\r\n`;

/** The rows of a product, one for each variant. */
export function csvRows(product: ExportedProduct): string {
  const own = [
    product.name,
    product.description,
    product.brand ?? "",
    product.status,
    product.categories.map((path) => path.map((name) => marked(name, /[\\/|]/g)).join("/")).join("|"),
    product.attrs.length === 0 ? "" : JSON.stringify(product.attrs),
    Object.keys(product.metadata).length === 0 ? "" : JSON.stringify(product.metadata),
    String(product.popularity),
  ];
  return product.variants
    .map((variant, index) =>
      csvLine([
        product.slug,
        ...(index === 0 ? own : own.map(() => "")),
        variant.sku,
        variant.name ?? "",
        variant.price,
        variant.currency,
        variant.compareAtPrice ?? "",
        variant.gtin ?? "",
        variant.weight === null ? "" : String(variant.weight),
        variant.options
          .map(({ name, value }) => `${marked(name, /[\\=|]/g)}=${marked(value, /[\\=|]/g)}`)
          .join("|"),
      ]),
    )
    .join("");
}

// ---- Reading.

/** A cell that cannot be read. */
class BadCell extends Error {}

const json = (column: string, text: string, empty: unknown): unknown => {
  if (text === "") return empty;
  try {
    return JSON.parse(text);
  } catch {
    throw new BadCell(`${column} is not valid JSON`);
  }
};

const number = (text: string): unknown =>
  /^\s*\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?\s*$/i.test(text) ? Number(text) : text;

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
  size: number;
  fault?: string;
}

const begin = (cells: Cells): Group => ({ first: cells, rows: [], variants: [], size: 0 });

function add(group: Group, row: number, cells: Cells, size: number): void {
  group.rows.push(row);
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
  if (!slug || !before || canonicalKey(slug) !== canonicalKey(before)) return false;
  if (group.variants.length >= MAX_VARIANTS || group.size > MAX_PRODUCT) return false;
  if (!cells.get("sku") || !group.first.get("sku")) return false;
  return (
    !cells.get("name") || PRODUCT_COLUMNS.every((column) => cells.get(column) === group.first.get(column))
  );
}

function lineOf({ first, rows, variants, size, fault }: Group): ReadLine {
  const line = { row: rows[0] ?? 0, last: rows.at(-1) ?? 0, size };
  if (fault !== undefined) return { ...line, fault };
  try {
    const own = say(first, first.get("name") || !first.has("name") ? ["slug", ...PRODUCT_COLUMNS] : ["slug"]);
    const [only] = variants as Record<string, unknown>[];
    // Without a SKU it is the product's only variant, which is found by the slug or made with a SKU of its own.
    if (variants.length === 1 && only?.sku === undefined) {
      const { price, currency, ...more } = only ?? {};
      if (Object.values(more).some((value) => value !== null && (value as unknown[]).length !== 0)) {
        return { ...line, fault: "sku is needed with variant, compareAtPrice, gtin, weight or options" };
      }
      return { ...line, value: { ...own, ...(price ? { price } : {}), ...(currency ? { currency } : {}) } };
    }
    return { ...line, value: { ...own, variants }, variantRows: rows };
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    return { ...line, fault: error.message };
  }
}

/** The columns that a header names. @throws BadCell when one is unknown or there twice, or none says which product */
function columnsOf(header: string[]): Column[] {
  const columns = header.map((name) => {
    const column = BY_NAME.get(name.trim().toLowerCase());
    if (column === undefined) {
      throw new BadCell(
        `"${name.slice(0, 50)}" is no column; there are ${COLUMNS.join(", ")}, separated by commas`,
      );
    }
    return column;
  });
  const twice = columns.find((column, index) => columns.indexOf(column) !== index);
  if (twice !== undefined) throw new BadCell(`the column ${twice} is there twice`);
  if (!columns.some((column) => column === "sku" || column === "slug" || column === "name")) {
    throw new BadCell("the header must name sku, slug or name");
  }
  return columns;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes that were read one to one. @throws BadCell when they are not UTF-8 */
const decode = (bytes: string): string => {
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return decoder.decode(Buffer.from(bytes, "latin1"));
  } catch {
    throw new BadCell("is not UTF-8");
  }
};

const BOMS = { utf8: [0xef, 0xbb, 0xbf], utf16le: [0xff, 0xfe], utf16be: [0xfe, 0xff] };
const startsWith = (bytes: Uint8Array, mark: number[]) => mark.every((byte, index) => bytes[index] === byte);

/** The stream without its byte order mark. @throws BadCell when the mark is of UTF-16 */
async function* withoutMark(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let start: Uint8Array | undefined = new Uint8Array(0);
  const cleared = (bytes: Uint8Array) => {
    if (startsWith(bytes, BOMS.utf16le) || startsWith(bytes, BOMS.utf16be)) {
      throw new BadCell("the file is UTF-16; save it as CSV in UTF-8");
    }
    return startsWith(bytes, BOMS.utf8) ? bytes.subarray(3) : bytes;
  };
  for await (const chunk of stream) {
    if (start === undefined) {
      yield chunk;
      continue;
    }
    start = Buffer.concat([start, chunk]);
    if (start.length < 3) continue;
    yield cleared(start);
    start = undefined;
  }
  if (start !== undefined) yield cleared(start);
}

/**
 * The records of a CSV file. Bytes are read one to one, so that what is not UTF-8 is a fault of its row alone.
 * @throws BadCell when it cannot go on; what was read before is given out first
 */
async function* records(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let ready: string[][] = [];
  let read = 0;
  let readAtRecord = 0;
  const parser = new Parser({
    encoding: "latin1",
    record_delimiter: ["\r\n", "\n"],
    relax_column_count: true,
    // `5" pipe` is what people mean it to be.
    relax_quotes: true,
    on_record: (record: string[]) => {
      ready.push(record);
      readAtRecord = read;
      return null;
    },
  });
  parser.on("error", () => undefined);
  const step = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      parser.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  const take = () => {
    const taken = ready;
    ready = [];
    return taken;
  };
  try {
    for await (const bytes of withoutMark(stream)) {
      for (let from = 0; from < bytes.length; from += STEP) {
        const part = bytes.subarray(from, from + STEP);
        read += part.length;
        await step(part);
        yield* take();
        if (read - readAtRecord > MAX_ROW) {
          throw new BadCell(
            `is longer than ${MAX_ROW} bytes; a quotation mark may be open. What follows was not read`,
          );
        }
      }
    }
    await new Promise<void>((resolve, reject) => {
      parser.once("error", reject);
      parser.end(() => resolve());
    }).catch(() => {
      throw new BadCell("has a quotation mark that is not closed");
    });
    yield* take();
  } finally {
    parser.destroy();
  }
}

/** Reads CSV: rows that belong to one product are one line. Empty rows count and say nothing. */
export async function* readCsv(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ReadLine> {
  let columns: Column[] | undefined;
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
      let cells: Cells = new Map();
      const empty = record.length === 1 && record[0] === "";
      if (!empty && record.length !== columns.length) {
        fault = `has ${record.length} cells instead of ${columns.length}`;
      } else if (!empty) {
        try {
          cells = new Map(columns.map((column, index) => [column, bare(decode(record[index] ?? ""))]));
        } catch (error) {
          if (!(error instanceof BadCell)) throw error;
          fault = error.message;
        }
      }
      if (group && (empty || fault !== undefined || !joins(group, cells))) {
        yield lineOf(group);
        group = undefined;
      }
      if (empty || fault !== undefined) {
        yield alone(fault);
        continue;
      }
      group ??= begin(cells);
      add(
        group,
        row,
        cells,
        record.reduce((sum, cell) => sum + cell.length, 0),
      );
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

import { readCsv } from "./csv";
import { readNdjson } from "./ndjson";

export const FORMATS = ["ndjson", "csv"] as const;
export type Format = (typeof FORMATS)[number];

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
  /** The row of each of `value.variants`, where they have rows of their own. */
  variantRows?: number[];
}

/** Reads the products of a file as a stream: a row, or the rows of one product, at a time in memory. */
export const readProducts = (format: Format, stream: AsyncIterable<Uint8Array>): AsyncGenerator<ReadLine> =>
  format === "csv" ? readCsv(stream) : readNdjson(stream);

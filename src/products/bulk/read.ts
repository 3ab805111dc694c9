import { readCsv, surveyCsv } from "./csv";
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
  /** Currency signs beside the prices of each variant, which say its currency. */
  signs?: string[][];
  /** The row of each of `value.variants`, where they have rows of their own. */
  variantRows?: number[];
}

/** Opens a file; each time from its beginning. */
export type Source = () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;

/** Reads the products of a file as a stream: a row, or the rows of one product, at a time in memory. */
export async function* readProducts(
  format: Format,
  open: Source,
  onChunk: (bytes: number) => void,
): AsyncGenerator<ReadLine> {
  const styles = format === "csv" ? await surveyCsv(await open()) : undefined;
  const stream = counted(await open(), onChunk);
  yield* format === "csv" ? readCsv(stream, styles) : readNdjson(stream);
}

async function* counted(stream: AsyncIterable<Uint8Array>, onChunk: (bytes: number) => void) {
  for await (const chunk of stream) {
    onChunk(chunk.length);
    yield chunk;
  }
}

import { type Level, type RollupDocument, type RollupKind, STORED_LEVEL } from "../model";
import {
  addRow,
  addTotals,
  type Bucket,
  COLUMNS,
  ROW_KINDS,
  type RowKind,
  type Rows,
  type Totals,
} from "./buckets";
import { pack, unpackInto } from "./packing";

/** Length of the rows in one document: at most 12 MB of UTF-8, where a document may have 16. */
const ROWS_LENGTH = 4_000_000;
/** Visitors in one document, eight bytes each in each of its two sets. */
const VISITORS_PER_DOCUMENT = 250_000;

/** Rows as JSON texts that each fit into a document. Keys come from outside, so their number says nothing. */
function rowTexts(rows: Rows): string[] {
  const parts: string[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const [key, values] of rows) {
    const row = JSON.stringify([key, ...values]);
    length += row.length + 1;
    if (length > ROWS_LENGTH) {
      parts.push([]);
      length = row.length + 1;
    }
    parts.at(-1)?.push(row);
  }
  return parts.map((part) => `[${part.join(",")}]`);
}

/** The documents of a bucket; what is empty has none. */
export function toDocuments(level: Level, at: Date, bot: boolean, bucket: Bucket): RollupDocument[] {
  const document = (kind: RollupKind, part: number): RollupDocument => ({
    _id: `${STORED_LEVEL[level]}:${at.toISOString()}:${bot ? "bots" : "people"}:${kind}:${part}`,
    level: STORED_LEVEL[level],
    kind,
    bot,
    at,
  });
  const { counts } = bucket.totals;
  if (counts.events === 0 && counts.sessions === 0) return [];
  const [visitors, newVisitors] = [[...bucket.visitors], [...bucket.newVisitors]];
  const partOf = (numbers: number[], part: number) =>
    pack(numbers.slice(part * VISITORS_PER_DOCUMENT, (part + 1) * VISITORS_PER_DOCUMENT));
  // New visitors are visitors too, so the parts of these are enough for both.
  const parts = Math.max(1, Math.ceil(visitors.length / VISITORS_PER_DOCUMENT));
  return [
    ...Array.from({ length: parts }, (_, part) => ({
      ...document("totals", part),
      ...(part === 0 ? { totals: bucket.totals } : {}),
      seen: partOf(visitors, part),
      fresh: partOf(newVisitors, part),
    })),
    ...ROW_KINDS.flatMap((kind) =>
      rowTexts(bucket.rows[kind]).map((rows, part) => ({ ...document(kind, part), rows })),
    ),
  ];
}

/** Adds what a rollup document holds to a bucket. */
export function addDocument(bucket: Bucket, document: RollupDocument): void {
  if (document.totals !== undefined) addTotals(bucket.totals, document.totals as Totals);
  // Mongoose gives a lean buffer as the driver does, in a wrapper.
  unpackInto(bucket.visitors, bytesOf(document.seen));
  unpackInto(bucket.newVisitors, bytesOf(document.fresh));
  if (document.rows !== undefined && document.kind in COLUMNS) {
    const rows = bucket.rows[document.kind as RowKind];
    for (const [key, ...values] of JSON.parse(document.rows) as [string, ...number[]][])
      addRow(rows, key, values);
  }
}

const bytesOf = (value: Buffer | undefined): Uint8Array | undefined =>
  value instanceof Uint8Array ? value : (value as { buffer: Uint8Array } | undefined)?.buffer;

/** Parts of segments: how the columns and postings that a document holds are read, and how much memory they take. */
import type { Columns } from "./builder";
import { unpackNumbers } from "./columns";
import { bytesOf, type PartDocument, type SegmentEntry } from "./model";
import { Postings } from "./segment";

/** The columns of a segment that belong together, each group in a document. */
export const GROUPS = {
  rank: { numbers: ["popularity", "tie", "kind"], lists: ["kinds"] },
  labels: { numbers: ["brand", "tree"], lists: ["brands", "trees"] },
  facets: { numbers: ["price", "currency", "stock", "attrStart", "attr"], lists: ["attrs", "currencies"] },
  created: { numbers: ["created"], lists: [] },
} as const satisfies Record<string, { numbers: (keyof Columns)[]; lists: (keyof Columns)[] }>;
export type Group = keyof typeof GROUPS;

export interface Sized {
  value: unknown;
  bytes: number;
}

/** The documents of these groups of columns, in the order in which the later ones count. */
export const columnParts = ({ id, popularity }: SegmentEntry, groups: Group[]): string[] => [
  ...groups.map((group) => `${id}.${group}`),
  ...(popularity !== undefined && groups.includes("rank") ? [`${id}.popularity.${popularity}`] : []),
];

/** The columns of a document. */
export function columnsOf({ _id, segment, ...fields }: PartDocument): Sized {
  let bytes = 0;
  const columns: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const list = Array.isArray(value) ? value : unpackNumbers(bytesOf(value));
    columns[name] = list;
    bytes += Array.isArray(list) ? JSON.stringify(list).length * 4 : list.byteLength;
  }
  return { value: columns, bytes };
}

/**
 * Postings as they are stored: parsing them in each search costs less than a cache that holds a third as many. In memory
 * of their own, because those of the driver are views of the whole answer, and so is a slice of them.
 */
export function postingsOf(data: unknown): Sized {
  const value = new Uint8Array(bytesOf(data));
  return { value, bytes: value.length + 250 };
}

/** Parses postings when they are first asked for. */
export function readerOf(stored: Map<string, Uint8Array>): (term: string) => Postings | undefined {
  const read = new Map<string, Postings>();
  return (term) => {
    const known = read.get(term);
    if (known) return known;
    const data = stored.get(term);
    if (data === undefined) return undefined;
    const postings = new Postings(data);
    read.set(term, postings);
    return postings;
  };
}

import type { Cursors } from "./cursor";
import type { JsonValue } from "./json";

/** Where a page ends: the cursor of the next, null behind the last. */
export interface PageEnd {
  nextCursor: string | null;
  hasMore: boolean;
}

/** A page as lists answer it. */
export interface Page<Item> {
  data: Item[];
  page: PageEnd;
}

/**
 * The end of a page.
 * @param next where the next page begins, for its cursor; null when there is none
 * @param filter whatever decides the list; the cursor is good for no other
 * @example pageEnd(deps, null, filter) // { nextCursor: null, hasMore: false }
 */
export const pageEnd = (
  { cursors }: { cursors: Cursors },
  next: JsonValue[] | null,
  filter: JsonValue,
): PageEnd => ({ nextCursor: next && cursors.encode(next, filter), hasMore: next !== null });

/**
 * A page of rows of which one more than `limit` was read, to know whether there are more.
 * @param position of the last row shown, behind which the next page begins
 * @example pageFrom(deps, rows, limit, filter, toMovement, (last) => [last._id])
 */
export function pageFrom<Row, Item>(
  deps: { cursors: Cursors },
  rows: readonly Row[],
  limit: number,
  filter: JsonValue,
  map: (row: Row) => Item,
  position: (last: Row) => JsonValue[],
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { data: shown.map(map), page: pageEnd(deps, last === undefined ? null : position(last), filter) };
}

/** A row that a walk over an index came to. */
export interface Seen {
  id: string;
  /** The value of the key that the walk is ordered by; the id comes after it. */
  key: string;
  /** True when the filters that the index does not serve let it through. */
  hit: boolean;
}

/** Rows in the order of one index. Several, one after the other, make a list. */
export interface Stretch<Row extends Seen> {
  /** True when rows may come that are no hits. */
  filtered: boolean;
  /** The next `limit` rows behind one, or from the start. */
  walk(after: { key: string; id: string } | undefined, limit: number): Promise<Row[]>;
}

/** How many rows one page looks at for those that a filter without an index of its own lets through. */
export const WINDOW = 1000;
/** How many of them are read at once at most; a page begins with as many as it shows. */
const CHUNK = 250;

/**
 * One page of a list. No page looks at more than `window` rows: with filters that hit few, a page may be
 * short, even empty, and still have a next one.
 * @param from where the page before it ended, as `next` gave it
 * @returns at most `limit` hits, and where the next page begins, or null when there is none
 */
export async function nextPage<Row extends Seen>(
  stretches: Stretch<Row>[],
  { limit, from, window = WINDOW }: { limit: number; from: JsonValue[] | undefined; window?: number },
): Promise<{ rows: Row[]; next: JsonValue[] | null }> {
  const found: { row: Row; index: number }[] = [];
  let left = window;
  let chunk = limit + 1;
  let after = typeof from?.[1] === "string" ? { key: from[1], id: String(from[2]) } : undefined;
  const page = (next: JsonValue[] | null) => ({ rows: found.slice(0, limit).map(({ row }) => row), next });
  for (let index = Number(from?.[0] ?? 0); index < stretches.length; index++) {
    const stretch = stretches[index] as Stretch<Row>;
    for (;;) {
      if (left === 0) return page([index, after?.key ?? null, after?.id ?? null]);
      const size = Math.min(left, stretch.filtered ? chunk : limit + 1 - found.length);
      if (stretch.filtered) chunk = Math.min(CHUNK, chunk * 2);
      const seen = await stretch.walk(after, size);
      left -= seen.length;
      for (const row of seen) if (row.hit) found.push({ row, index });
      const last = found[limit - 1];
      // One more than fits says that there is a next page.
      if (last && found.length > limit) return page([last.index, last.row.key, last.row.id]);
      const end = seen.at(-1);
      if (!end || seen.length < size) break;
      after = { key: end.key, id: end.id };
    }
    after = undefined;
  }
  return page(null);
}

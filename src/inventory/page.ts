import type { BaseDeps } from "../deps";
import type { JsonValue } from "../lib/json";

/** A page as lists answer it. */
export interface Page<T> {
  data: T[];
  page: { nextCursor: string | null; hasMore: boolean };
}

/** Cuts the one row too many off a page and makes the cursor of the next. */
export function pageFrom<Row, Item>(
  deps: Pick<BaseDeps, "cursors">,
  rows: Row[],
  limit: number,
  filter: JsonValue,
  map: (row: Row) => Item,
  position: (last: Row) => JsonValue[],
): Page<Item> {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(map),
    page: {
      hasMore,
      nextCursor: hasMore && last !== undefined ? deps.cursors.encode(position(last), filter) : null,
    },
  };
}

/** A condition on ids before a position, for lists with the newest first. */
export const olderThan = (before: string | undefined) =>
  before === undefined ? {} : { _id: { $lt: before } };

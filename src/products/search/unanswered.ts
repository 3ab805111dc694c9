import { pageFrom } from "../../lib/paging";
import type { ProductDeps } from "../deps";
import type { UnansweredQuery } from "./schema";

/** What was searched for without result in the last 30 days, the most frequent first. @throws AppError invalid_cursor */
export async function listUnanswered(deps: ProductDeps, { limit, cursor }: UnansweredQuery) {
  const scope = "unanswered";
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, scope);
  const rows = await deps.searchQueries.unanswered(
    position && { count: Number(position[0]), key: String(position[1]) },
    limit + 1,
  );
  return pageFrom(
    deps,
    rows,
    limit,
    scope,
    ({ q, count, firstAt, at }) => ({
      q,
      count,
      firstAt: firstAt.toISOString(),
      lastAt: at.toISOString(),
    }),
    (last) => [last.count, last._id],
  );
}

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
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(({ q, count, firstAt, at }) => ({
      q,
      count,
      firstAt: firstAt.toISOString(),
      lastAt: at.toISOString(),
    })),
    page: {
      hasMore,
      nextCursor: hasMore && last ? deps.cursors.encode([last.count, last._id], scope) : null,
    },
  };
}

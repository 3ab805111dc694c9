import type { AnalyticsDeps } from "./deps";
import { erasePersonAnalytics, personEvents } from "./person";
import { toEvent } from "./sessions/event";
import type { EventResponse } from "./sessions/schema";
import { settleRemoved } from "./sessions/step";

/** Events that are erased in one step. */
const STEP = 1000;

/** A visitor as sessions name one: `u:` and the shop's own id of a person, or `d:` and a device. */
const idOf = (visitor: string) => ({ isPerson: visitor.startsWith("u:"), id: visitor.slice(2) });

/** What is known of a visitor, page by page. @throws AppError invalid_cursor */
export async function listVisitorEvents(
  deps: AnalyticsDeps,
  visitor: string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ data: EventResponse[]; page: { nextCursor: string | null; hasMore: boolean } }> {
  const { isPerson, id } = idOf(visitor);
  const filter = { list: "visitorEvents", visitor };
  const place = cursor === undefined ? null : String(deps.cursors.decode(cursor, filter)[0]);
  const pageOf = (data: EventResponse[], next: string | null) => ({
    data,
    page: {
      hasMore: next !== null,
      nextCursor: next === null ? null : deps.cursors.encode([next], filter),
    },
  });
  if (isPerson) {
    const read = await personEvents(deps, id);
    const { items, next } = await read(place === null ? null : JSON.parse(place), limit);
    return pageOf(items, next === null ? null : JSON.stringify(next));
  }
  const events = await deps.analytics.events.ofDevice(id, place ?? "", limit + 1);
  const shown = events.slice(0, limit);
  return pageOf(shown.map(toEvent), events.length > limit ? (shown.at(-1)?._id ?? null) : null);
}

/** Erases what is known of a visitor; sessions and reports follow. Repeatable. @returns how many events were erased */
export async function eraseVisitor(deps: AnalyticsDeps, visitor: string): Promise<number> {
  const { isPerson, id } = idOf(visitor);
  if (isPerson) return erasePersonAnalytics(deps, id);
  for (let erased = 0; ; ) {
    const events = await deps.analytics.events.ofDevice(id, "", STEP);
    if (events.length === 0) return erased;
    await settleRemoved(deps, events);
    erased += events.length;
  }
}

import { type Page, pageEnd, pageFrom } from "../lib/paging";
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
): Promise<Page<EventResponse>> {
  const { isPerson, id } = idOf(visitor);
  const filter = { list: "visitorEvents", visitor };
  const place = cursor === undefined ? null : String(deps.cursors.decode(cursor, filter)[0]);
  if (isPerson) {
    const read = await personEvents(deps, id);
    const { items, next } = await read(place === null ? null : JSON.parse(place), limit);
    return { data: items, page: pageEnd(deps, next === null ? null : [JSON.stringify(next)], filter) };
  }
  const events = await deps.analytics.events.ofDevice(id, place ?? "", limit + 1);
  return pageFrom(deps, events, limit, filter, toEvent, (last) => [last._id]);
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

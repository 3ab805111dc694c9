import type { Deps } from "../deps";
import type { EventDocument } from "./model";
import type { EventResponse } from "./schema";
import { toEvent } from "./service";
import { settleRemoved } from "./settle";

/** Events that are read or removed in one step. */
const STEP = 1000;

/** All of a list that is read in steps by id. */
async function* steps(read: (afterId: string) => Promise<EventDocument[]>): AsyncGenerator<EventDocument[]> {
  for (let afterId = ""; ; ) {
    const events = await read(afterId);
    if (events.length === 0) return;
    yield events;
    afterId = events.at(-1)?._id ?? afterId;
  }
}

/**
 * Everything that is known of what a person did, in steps, for the export of an account: events that name
 * them, and events without a name of visits in which they signed in, or on devices that nobody else used.
 */
export async function* exportPersonAnalytics(deps: Deps, userId: string): AsyncGenerator<EventResponse[]> {
  const { own, shared } = await deps.analytics.devicesOfPerson(userId);
  const visitors = [`u:${userId}`, ...own.flatMap((device) => [`d:${device}`, `b:${device}`])];
  const unnamed = (afterId: string) =>
    deps.analytics.unnamedEvents([...own, ...shared], visitors, afterId, STEP);
  for await (const events of steps(unnamed)) yield events.map(toEvent);
  const naming = (afterId: string) => deps.analytics.eventsNaming(userId, afterId, STEP);
  for await (const events of steps(naming)) yield events.map(toEvent);
}

/**
 * Erases what a person did: all that the export gives, and what happened without a name on devices that others
 * use too, since it may be theirs. Sessions go with it; reports are recomputed. Repeatable: what names the
 * person goes last, so that a second call after a crash still finds their devices.
 * @returns how many events were erased
 */
export async function erasePersonAnalytics(deps: Deps, userId: string): Promise<number> {
  const { own, shared } = await deps.analytics.devicesOfPerson(userId);
  const devices = [...own, ...shared];
  const visitors = [`u:${userId}`, ...devices.flatMap((device) => [`d:${device}`, `b:${device}`])];
  let erased = 0;
  for await (const events of steps(() => deps.analytics.unnamedEvents(devices, visitors, "", STEP))) {
    await settleRemoved(deps, events);
    erased += events.length;
  }
  for await (const events of steps(() => deps.analytics.eventsNaming(userId, "", STEP))) {
    await settleRemoved(deps, events);
    erased += events.length;
  }
  return erased;
}

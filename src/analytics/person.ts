import { after } from "../lib/clock";
import type { JsonValue } from "../lib/json";
import type { AnalyticsDeps } from "./deps";
import type { Place } from "./events.store";
import type { EventDocument } from "./model";
import { toEvent } from "./sessions/event";
import { toSession } from "./sessions/list";
import type { EventResponse, SessionResponse } from "./sessions/schema";
import { settleRemoved } from "./sessions/step";

/** Events that are removed in one step. */
const STEP = 1000;

/** Before and after everything. */
const ALWAYS = { from: new Date(0), to: new Date(8.64e15) };

/** A list of what a person did, read step by step; what `next` gives leads on, null ends. */
export type PersonReader<Item> = (
  cursor: JsonValue,
  limit: number,
) => Promise<{ items: Item[]; next: JsonValue }>;

/** Whose events without a name a person's export has: their own and of devices that nobody else used. */
async function visitorsOf(deps: AnalyticsDeps, userId: string) {
  const { own, shared } = await deps.analytics.events.devicesOfPerson(userId);
  return {
    visitors: [`u:${userId}`, ...own.flatMap((device) => [`d:${device}`, `b:${device}`])].sort(),
    devices: new Set([...own, ...shared]),
  };
}

/**
 * Everything that is known of what a person did, for the export of an account: events that name them, and
 * events without a name of visits in which they signed in, or on devices that nobody else used. A step reads
 * `limit` events by an index, however many there are.
 */
export async function personEvents(
  deps: AnalyticsDeps,
  userId: string,
): Promise<PersonReader<EventResponse>> {
  const { visitors, devices } = await visitorsOf(deps, userId);
  return async (cursor, limit) => {
    const [list, visitor, at, id, sequence] = Array.isArray(cursor) ? cursor.map(String) : ["unnamed"];
    if (list === "named") {
      const events = await deps.analytics.events.naming(userId, visitor ?? "", limit);
      const last = events.at(-1);
      return {
        items: events.map(toEvent),
        next: last && events.length === limit ? ["named", last._id] : null,
      };
    }
    // A visitor who is no longer among them was merged into another one, which was or will be read.
    const index = visitor === undefined ? 0 : visitors.findIndex((other) => other >= visitor);
    const present = index < 0 ? undefined : visitors[index];
    if (present === undefined) return { items: [], next: ["named", ""] };
    const behind =
      present === visitor && at !== undefined && id !== undefined
        ? { at: new Date(at), sequence: Number(sequence ?? 0), id }
        : null;
    const events = await deps.analytics.events.list({
      visitor: present,
      range: behind ? { ...ALWAYS, from: behind.at } : ALWAYS,
      after: behind,
      limit: limit - 1,
    });
    const last = events.at(-1);
    const following = visitors[index + 1];
    return {
      items: events
        .filter(({ userId, device }) => userId === null && device !== null && devices.has(device))
        .map(toEvent),
      next:
        last && events.length === limit
          ? ["unnamed", present, last.at.toISOString(), last._id, last.sequence ?? 0]
          : following === undefined
            ? ["named", ""]
            : ["unnamed", following],
    };
  };
}

/** The visits of a person, the newest first of each visitor that is theirs alone. */
export async function personVisits(
  deps: AnalyticsDeps,
  userId: string,
): Promise<PersonReader<SessionResponse>> {
  const { visitors } = await visitorsOf(deps, userId);
  return async (cursor, limit) => {
    const [visitor = visitors[0], start, id] = Array.isArray(cursor) ? cursor.map(String) : [];
    const index = visitors.findIndex((other) => visitor !== undefined && other >= visitor);
    const present = index < 0 ? undefined : visitors[index];
    if (present === undefined) return { items: [], next: null };
    const behind =
      present === visitor && start !== undefined && id !== undefined ? { start: new Date(start), id } : null;
    const visits = await deps.analytics.sessions.list({
      range: behind ? { ...ALWAYS, to: after(behind.start, 1) } : ALWAYS,
      of: { visitor: present },
      after: behind,
      limit: limit - 1,
    });
    const last = visits.at(-1);
    const following = visitors[index + 1];
    return {
      items: visits.map(toSession),
      next:
        last && visits.length === limit
          ? [present, last.start.toISOString(), last._id]
          : following === undefined
            ? null
            : [following],
    };
  };
}

/**
 * Erases the events of a visitor that name a person or, with null, nobody, the oldest first: a step concerns
 * a short time and reads its own events alone, however many there are.
 * @param whole true when the visitor keeps no event in the end, so that no session is made anew
 * @returns how many were erased
 */
async function eraseEvents(
  deps: AnalyticsDeps,
  { visitor, userId, whole }: { visitor: string; userId: string | null; whole: boolean },
): Promise<number> {
  let erased = 0;
  for (let behind: Place | null = null; ; ) {
    const events: EventDocument[] = await deps.analytics.events.list({
      visitor,
      userId,
      range: behind ? { ...ALWAYS, from: behind.at } : ALWAYS,
      after: behind,
      limit: STEP - 1,
    });
    const last = events.at(-1);
    const done = last === undefined || events.length < STEP;
    if (whole || last) {
      const gone = whole ? { visitor, until: done ? ALWAYS.to : last.at } : null;
      await settleRemoved(deps, events, gone);
    }
    erased += events.length;
    if (done) return erased;
    behind = { at: last.at, sequence: last.sequence ?? 0, id: last._id };
  }
}

/**
 * Erases what a person did: all that the export gives, and what happened without a name on devices that others
 * use too, since it may be theirs. Sessions go with it; reports are recomputed. Repeatable: what names the
 * person goes last, so that a second call after a crash still finds their devices.
 * @returns how many events were erased
 */
export async function erasePersonAnalytics(deps: AnalyticsDeps, userId: string): Promise<number> {
  const { own, shared } = await deps.analytics.events.devicesOfPerson(userId);
  const visitors: { visitor: string; whole: boolean }[] = [];
  for (const device of [...own, ...shared]) visitors.push({ visitor: `d:${device}`, whole: true });
  visitors.push({ visitor: `u:${userId}`, whole: true });
  // A bot is a visitor of its own whoever it names: there what names others stays.
  for (const visitor of [...own, ...shared, userId].map((name) => `b:${name}`)) {
    visitors.push({ visitor, whole: !(await deps.analytics.events.namesOthers(visitor, userId)) });
  }
  let erased = 0;
  for (const named of [null, userId]) {
    for (const visitor of visitors) erased += await eraseEvents(deps, { ...visitor, userId: named });
  }
  await deps.analytics.devices.forgetPerson(userId);
  return erased;
}

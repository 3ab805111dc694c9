import { createHash } from "node:crypto";
import { DAY, MINUTE, midnightBefore } from "../../lib/clock";
import type { EventDocument, SessionDocument } from "../model";
import type { SessionEvent } from "../queue.store";

/** A pause above this ends a session, in milliseconds. */
export const SESSION_GAP = 30 * MINUTE;
/** How long after a visit what a server reports without a page still joins it. */
export const JOIN_WINDOW = 30 * DAY;

/** What puts events in order. */
export type Ordered = Pick<EventDocument, "at" | "sequence" | "_id">;

/** By time, then as they came, so that every reading sees one order: of one batch, the batch's. */
export const byTime = (a: Ordered, b: Ordered): number =>
  a.at.getTime() - b.at.getTime() ||
  (a.sequence ?? 0) - (b.sequence ?? 0) ||
  (a._id < b._id ? -1 : a._id > b._id ? 1 : 0);

/**
 * Cuts events, sorted by time, wherever nothing happened for more than 30 minutes, and at each midnight of UTC
 * before which they went on for a day without such a pause: what never pauses would be one visit without end. What
 * happens in the background prolongs no visit; where none goes on, it stands alone.
 */
export function splitVisits<Event extends Pick<SessionEvent, "at" | "background">>(
  events: Event[],
): Event[][] {
  const visits: Event[][] = [];
  let last = Number.NEGATIVE_INFINITY;
  let sincePause = last;
  for (const event of events) {
    const at = event.at.getTime();
    const visit = visits.at(-1);
    if (event.background) {
      if (visit !== undefined && at - last <= SESSION_GAP) visit.push(event);
      else visits.push([event]);
      continue;
    }
    const midnight = midnightBefore(at);
    const paused = at - last > SESSION_GAP;
    if (paused) sincePause = at;
    if (visit === undefined || paused || (last < midnight && midnight - sincePause >= DAY))
      visits.push([event]);
    else visit.push(event);
    last = at;
  }
  return visits;
}

/**
 * Whose the events of one device are, sorted by time and not a bot's. An event that names a person is
 * theirs. One that does not belongs, within the same visit of the device, to the last person named before it, or else to
 * the first named after it (who browsed before signing in), or else to the device.
 * @returns the visitor of each event, in the same order
 */
export function attribute(events: Pick<SessionEvent, "at" | "device" | "userId" | "background">[]): string[] {
  return splitVisits(events).flatMap((visit) => {
    let person = visit.find(({ userId }) => userId !== null)?.userId ?? null;
    return visit.map(({ userId, device }) => {
      if (userId !== null) person = userId;
      return person === null ? `d:${device}` : `u:${person}`;
    });
  });
}

/** The same visitor and start give the same id, so that a rebuild changes nothing. */
const sessionId = (visitor: string, start: Date): string =>
  createHash("sha256").update(`${visitor}\n${start.getTime()}`).digest("hex").slice(0, 32);

/** Whether a visit has its order here: each order counts in one visit. */
const isConversion = ({ kind, order }: SessionEvent): boolean => order?.credited ?? kind === "order";

/** How far a visit came in order: viewed, then added, then ordered. */
function funnelOf(events: SessionEvent[]): SessionDocument["funnel"] {
  let step: SessionDocument["funnel"] = 0;
  for (const event of events) {
    if (step === 0 && event.kind === "view") step = 1;
    else if (step === 1 && event.kind === "add") step = 2;
    else if (step === 2 && isConversion(event)) return 3;
  }
  return step;
}

/**
 * One look and gone: at most one page, one product and one list, which the page of a product or a category sends
 * together. Anything else is doing something, but for what is passive.
 */
function isBounce(events: SessionEvent[]): boolean {
  const active = events.filter(({ passive }) => passive !== true);
  const looks = (["page", "view", "list"] as const).map(
    (kind) => active.filter((event) => event.kind === kind).length,
  );
  return looks.every((count) => count <= 1) && looks.reduce((sum, count) => sum + count, 0) === active.length;
}

/** @param joined what a server reported of it; it makes the visit neither longer nor another one */
function toSession(visitor: string, events: SessionEvent[], joined: SessionEvent[]): SessionDocument {
  const all = joined.length === 0 ? events : [...events, ...joined].sort(byTime);
  const [first] = events;
  const last = events.at(-1);
  if (!first || !last) throw new Error("a session without events");
  const count = (kind: EventDocument["kind"]) => events.filter((event) => event.kind === kind).length;
  // The projection that events are read with leaves a page out that is null.
  const landing = events.find(({ page }) => page !== null && page !== undefined);
  const revenue: Record<string, number> = {};
  for (const event of all) {
    const amount = event.order?.worth ?? (event.order ? 0 : event.revenue);
    if (!isConversion(event) || amount === 0) continue;
    const currency = event.order?.currency ?? event.currency ?? "XXX";
    revenue[currency] = (revenue[currency] ?? 0) + amount;
  }
  const orders = all.filter(isConversion).length;
  const pages = count("page");
  const views = count("view");
  return {
    _id: sessionId(visitor, first.at),
    visitor,
    userId: visitor.startsWith("u:") ? visitor.slice(2) : null,
    devices: [...new Set(events.flatMap(({ device }) => (device === null ? [] : [device])))].slice(0, 20),
    bot: first.bot,
    start: first.at,
    end: last.at,
    counts: {
      events: events.length,
      pages,
      views,
      adds: count("add"),
      orders,
      searches: count("search"),
    },
    revenue,
    bounced: isBounce(events) && orders === 0,
    funnel: funnelOf(all),
    source: landing === undefined || landing.source === "internal" ? "direct" : landing.source,
    landing: landing?.page?.path ?? null,
  };
}

const isBackground = ({ background }: Pick<SessionEvent, "background">): boolean => background === true;

/** Whether a visit that ended with `last` is recent enough for what happened after it. */
const joins = ({ at }: { at: Date }, last: { at: Date } | undefined): boolean =>
  last !== undefined && at.getTime() - last.at.getTime() <= JOIN_WINDOW;

/** The sessions of one visitor's events, which are sorted by time. The one definition of a session. */
export function sessionise(visitor: string, events: SessionEvent[]): SessionDocument[] {
  const visits: { own: SessionEvent[]; joined: SessionEvent[] }[] = [];
  for (const visit of splitVisits(events)) {
    const [joined, own] = [visit.filter(isBackground), visit.filter((event) => !isBackground(event))];
    if (own.length > 0) visits.push({ own, joined });
    else visits.at(-1)?.joined.push(...joined.filter((event) => joins(event, visits.at(-1)?.own.at(-1))));
  }
  return visits.map(({ own, joined }) => toSession(visitor, own, joined));
}

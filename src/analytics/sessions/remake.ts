import { isDeepStrictEqual } from "node:util";
import type { MongoTx } from "../../db/mongo";
import { chunksOf } from "../../lib/chunks";
import { after } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import type { SessionDocument } from "../model";
import type { PendingEvent, SessionEvent } from "../queue.store";
import { SOURCE_WINDOW } from "../rollups/buckets";
import { eventsAround, KEYS, type Span, type Spans, widen } from "./around";
import { attribute, byTime, JOIN_WINDOW, SESSION_GAP, sessionise, splitVisits } from "./sessionise";

/** What `attributeDevices` found out. */
export interface Attributed {
  /** The spans of every visitor who gained or lost events. */
  affected: Spans;
  /** Visitors whom something left that a server reported: their visits before it may have been joined by it. */
  left: Set<string>;
  /** Of devices that were looked at: all their events of a span with nothing near it outside. */
  devices: Map<string, { span: Span; events: SessionEvent[] }>;
  /** Events that have another visitor than before: each as it is now and as it was. */
  moved: SessionEvent[];
}

/**
 * Gives the events of devices their visitors.
 * @param anew whether the visits of everybody around these events are made anew, not only of those whose events wait
 */
export async function attributeDevices(
  deps: AnalyticsDeps,
  pending: PendingEvent[],
  { anew }: { anew: boolean },
  tx: MongoTx,
): Promise<Attributed> {
  const spans: Spans = new Map();
  const affected: Spans = new Map();
  const devices: Attributed["devices"] = new Map();
  for (const event of pending) {
    if (event.device !== null && !event.bot) widen(spans, event.device, event.at);
    else widen(affected, event.visitor, event.at);
  }
  const moved: SessionEvent[] = [];
  const before: SessionEvent[] = [];
  const left = new Set<string>();
  const move = (event: SessionEvent, visitor: string) => {
    if (anew || event.pending || visitor !== event.visitor) widen(affected, visitor, event.at);
    if (visitor === event.visitor) return;
    // An event that waits may have a session too, when it was reopened.
    widen(affected, event.visitor, event.at);
    if (event.background) left.add(event.visitor);
    before.push({ ...event });
    event.visitor = visitor;
    moved.push(event);
  };
  const alone = new Map<string, SessionEvent>();
  for (const [device, { events, paused }] of await eventsAround(deps, "device", spans, tx)) {
    const span = spans.get(device);
    if (!span) continue;
    const visitors = attribute(events);
    const visits = splitVisits(events);
    const single = new Set(visits.flatMap((visit) => (visit.length === 1 ? visit : [])));
    events.forEach((event, index) => {
      if (event.at.getTime() < span.low) return;
      if (event.background && single.has(event)) alone.set(event._id, event);
      else move(event, visitors[index] ?? event.visitor);
    });
    if (paused) devices.set(device, { span, events });
  }
  const write = async (events: SessionEvent[]) => {
    for (const [visitor, own] of Map.groupBy(events, ({ visitor }) => visitor)) {
      const ids = own.map(({ _id }) => _id);
      await deps.analytics.queue.setVisitor(ids, visitor, tx);
    }
  };
  await write(moved);
  const already = moved.length;
  const around = new Set([...devices.values()].flatMap(({ events }) => events.map(({ _id }) => _id)));
  for (const event of await laterInBackground(deps, spans, tx)) {
    if (!around.has(event._id)) alone.set(event._id, event);
  }
  for (const event of alone.values()) move(event, await visitorJoined(deps, event, tx));
  await write(moved.slice(already));
  return { affected, left, devices, moved: [...moved, ...before] };
}

/** What servers reported of devices after their spans: it may join visits that are new or changed. */
async function laterInBackground(deps: AnalyticsDeps, spans: Spans, tx: MongoTx): Promise<SessionEvent[]> {
  if (spans.size === 0) return [];
  const { low, high } = extentOf(spans.values());
  const range = { from: new Date(low), to: new Date(high + JOIN_WINDOW + 1) };
  const events = await deps.analytics.queue.backgroundOf("device", [...spans.keys()], range, tx);
  return events.filter(({ device, at }) => at.getTime() > (spans.get(device ?? "")?.high ?? 0));
}

/** The first and last time of spans. */
function extentOf(spans: Iterable<Span>): Span {
  const extent = { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY };
  for (const { low, high } of spans) {
    extent.low = Math.min(extent.low, low);
    extent.high = Math.max(extent.high, high);
  }
  return extent;
}

/**
 * Whose visit an event joins that a server reported of a device, outside of its visits: that of the device's last one,
 * unless it is another person's than the event names.
 */
async function visitorJoined(deps: AnalyticsDeps, event: SessionEvent, tx: MongoTx): Promise<string> {
  const own = event.userId === null ? `d:${event.device}` : `u:${event.userId}`;
  if (event.device === null) return own;
  const range = { from: after(event.at, -JOIN_WINDOW), to: event.at };
  const last = await deps.analytics.queue.lastVisitorOf(event.device, range, tx);
  return last !== null && (event.userId === null || last.startsWith("d:")) ? last : own;
}

/** The events of visitors around their spans. Those of a nameless device were read already as the device's. */
async function visitorEventsAround(
  deps: AnalyticsDeps,
  { affected, devices }: Attributed,
  tx: MongoTx,
): Promise<Map<string, SessionEvent[]>> {
  const known = new Map<string, SessionEvent[]>();
  const others: Spans = new Map();
  for (const [visitor, span] of affected) {
    const device = visitor.startsWith("d:") ? devices.get(visitor.slice(2)) : undefined;
    if (device && device.span.low <= span.low && device.span.high >= span.high) {
      Object.assign(span, device.span);
      known.set(
        visitor,
        device.events.filter((event) => event.visitor === visitor),
      );
    } else others.set(visitor, span);
  }
  for (const [visitor, { events }] of await eventsAround(deps, "visitor", others, tx))
    known.set(visitor, events);
  return known;
}

/**
 * What servers reported of visitors around their spans. It may join a visit from before a span, or leave it for one
 * that is new: then the spans are widened to that visit.
 */
async function backgroundAround(
  deps: AnalyticsDeps,
  { affected, left }: Attributed,
  sessions: Map<string, Pick<SessionDocument, "start" | "end">[]>,
  tx: MongoTx,
): Promise<Map<string, SessionEvent[]>> {
  if (affected.size === 0) return new Map();
  const { low, high } = extentOf(affected.values());
  const range = { from: new Date(low - JOIN_WINDOW), to: new Date(high + JOIN_WINDOW + 1) };
  const events = await deps.analytics.queue.backgroundOf("visitor", [...affected.keys()], range, tx);
  const background = Map.groupBy(events, ({ visitor }) => visitor);
  for (const visitor of new Set([...background.keys(), ...left])) {
    const span = affected.get(visitor);
    if (!span) continue;
    const earlier = (sessions.get(visitor) ?? []).filter(({ start }) => start.getTime() <= span.low);
    const last = earlier.sort((a, b) => a.start.getTime() - b.start.getTime()).at(-1);
    if (last && span.low - last.end.getTime() <= JOIN_WINDOW) widen(affected, visitor, last.start, last.end);
  }
  return background;
}

/** Of sessions, the ids of those that are stored just as they are. */
async function unchanged(
  deps: AnalyticsDeps,
  sessions: SessionDocument[],
  tx: MongoTx,
): Promise<Set<string>> {
  const stored = await deps.analytics.sessions.byIds(
    sessions.map(({ _id }) => _id),
    tx,
  );
  const before = new Map(stored.map((session) => [session._id, session]));
  const same = sessions.filter((session) => isDeepStrictEqual(session, before.get(session._id)));
  return new Set(same.map(({ _id }) => _id));
}

/**
 * Makes the sessions of visitors anew around spans in which their events changed.
 * @param compare leaves sessions alone that are made just as they are stored, which most are when all are made anew
 * @returns the begins of all sessions that were made, removed, or may have become a visitor's first, and how
 * many events they were made from
 */
export async function remakeSessions(
  deps: AnalyticsDeps,
  attributed: Attributed,
  tx: MongoTx,
  { compare = false }: { compare?: boolean } = {},
): Promise<{ touched: Date[]; read: number }> {
  const { affected } = attributed;
  const visitors = [...affected.keys()];
  const sessions = new Map<string, Pick<SessionDocument, "_id" | "visitor" | "start" | "end">[]>();
  for (const some of chunksOf(visitors, KEYS)) {
    const part = await deps.analytics.sessions.of(some, tx);
    for (const [visitor, own] of Map.groupBy(part, ({ visitor }) => visitor)) sessions.set(visitor, own);
  }
  for (const [visitor, span] of affected) {
    const { low, high } = span;
    // A session that loses an event may fall apart, so all of it is looked at.
    for (const { start, end } of sessions.get(visitor) ?? []) {
      if (start.getTime() <= high + SESSION_GAP && end.getTime() >= low - SESSION_GAP) {
        widen(affected, visitor, start, end);
      }
    }
  }
  const background = await backgroundAround(deps, attributed, sessions, tx);
  const events = await visitorEventsAround(deps, attributed, tx);
  const remade = new Map<string, SessionDocument[]>();
  for (const [visitor, span] of affected) {
    const own = new Map((events.get(visitor) ?? []).map((event) => [event._id, event]));
    const following = Math.min(
      ...(sessions.get(visitor) ?? []).map(({ start }) => start.getTime()).filter((time) => time > span.high),
    );
    for (const event of background.get(visitor) ?? []) {
      const time = event.at.getTime();
      if (time >= span.low && time < following && !own.has(event._id)) own.set(event._id, event);
    }
    remade.set(
      visitor,
      sessionise(visitor, [...own.values()].sort(byTime)).filter(({ start }) => start.getTime() >= span.low),
    );
  }
  const same = compare ? await unchanged(deps, [...remade.values()].flat(), tx) : new Set<string>();
  const removed: string[] = [];
  const made: SessionDocument[] = [];
  const touched: Date[] = [];
  for (const [visitor, span] of affected) {
    const fresh = remade.get(visitor) ?? [];
    const ids = new Set(fresh.map(({ _id }) => _id));
    const gone = (sessions.get(visitor) ?? []).filter(({ _id, start }) => {
      const time = start.getTime();
      return time >= span.low && time <= span.high && !ids.has(_id);
    });
    const changed = fresh.filter(({ _id }) => !same.has(_id));
    if (compare && changed.length + gone.length === 0) continue;
    for (const session of changed) {
      made.push(session);
      touched.push(session.start);
    }
    for (const { _id, start } of gone) {
      removed.push(_id);
      touched.push(start);
    }
    let next: Date | undefined;
    for (const { start } of sessions.get(visitor) ?? []) {
      const time = start.getTime();
      if (time > span.high && (next === undefined || start < next)) next = start;
      // What a visit came from counts for direct ones after it.
      if (time > span.high && time - span.high <= SOURCE_WINDOW) touched.push(start);
    }
    if (next !== undefined) touched.push(next);
  }
  await deps.analytics.sessions.replace(removed, made, tx);
  const read = [...events.values()].reduce((sum, own) => sum + own.length, 0);
  return { touched, read };
}

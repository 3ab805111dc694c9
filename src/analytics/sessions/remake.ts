import type { MongoTx } from "../../db/mongo";
import type { AnalyticsDeps } from "../deps";
import type { SessionDocument } from "../model";
import type { PendingEvent } from "../queue.store";
import { eventsAround, KEYS, type Span, type Spans, widen } from "./around";
import { attribute, SESSION_GAP, type SessionEvent, sessionise } from "./sessionise";

/** What `attributeDevices` found out. */
export interface Attributed {
  /** The spans of every visitor who gained or lost events. */
  affected: Spans;
  /** Of devices that were looked at: all their events of a span with nothing near it outside. */
  devices: Map<string, { span: Span; events: SessionEvent[] }>;
  /** Events that have another visitor than before: each as it is now and as it was. */
  moved: SessionEvent[];
}

/** Gives the events of devices their visitors. */
export async function attributeDevices(
  deps: AnalyticsDeps,
  pending: PendingEvent[],
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
  for (const [device, { events, paused }] of await eventsAround(deps, "device", spans, tx)) {
    const span = spans.get(device);
    if (!span) continue;
    const visitors = attribute(events);
    events.forEach((event, index) => {
      if (event.at.getTime() < span.low) return;
      const visitor = visitors[index] ?? event.visitor;
      if (event.pending || visitor !== event.visitor) widen(affected, visitor, event.at);
      if (visitor === event.visitor) return;
      // An event that waits may have a session too, when it was reopened.
      widen(affected, event.visitor, event.at);
      before.push({ ...event });
      event.visitor = visitor;
      moved.push(event);
    });
    if (paused) devices.set(device, { span, events });
  }
  for (const [visitor, events] of Map.groupBy(moved, ({ visitor }) => visitor)) {
    await deps.analytics.queue.setVisitor(
      events.map(({ _id }) => _id),
      visitor,
      tx,
    );
  }
  return { affected, devices, moved: [...moved, ...before] };
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
 * Makes the sessions of visitors anew around spans in which their events changed.
 * @returns the begins of all sessions that were made, removed, or may have become a visitor's first, and how
 * many events they were made from
 */
export async function remakeSessions(
  deps: AnalyticsDeps,
  attributed: Attributed,
  tx: MongoTx,
): Promise<{ touched: Date[]; read: number }> {
  const { affected } = attributed;
  const visitors = [...affected.keys()];
  const sessions = new Map<string, Pick<SessionDocument, "_id" | "visitor" | "start" | "end">[]>();
  for (let index = 0; index < visitors.length; index += KEYS) {
    const part = await deps.analytics.sessions.of(visitors.slice(index, index + KEYS), tx);
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
  const events = await visitorEventsAround(deps, attributed, tx);
  const removed: string[] = [];
  const made: SessionDocument[] = [];
  const touched: Date[] = [];
  for (const [visitor, span] of affected) {
    const fresh = sessionise(visitor, events.get(visitor) ?? []).filter(
      ({ start }) => start.getTime() >= span.low,
    );
    const ids = new Set(fresh.map(({ _id }) => _id));
    for (const session of fresh) {
      made.push(session);
      touched.push(session.start);
    }
    let next: Date | undefined;
    for (const { _id, start } of sessions.get(visitor) ?? []) {
      const time = start.getTime();
      if (time >= span.low && time <= span.high && !ids.has(_id)) {
        removed.push(_id);
        touched.push(start);
      } else if (time > span.high && (next === undefined || start < next)) next = start;
    }
    if (next !== undefined) touched.push(next);
  }
  await deps.analytics.sessions.replace(removed, made, tx);
  const read = [...events.values()].reduce((sum, own) => sum + own.length, 0);
  return { touched, read };
}

import type { Deps } from "../deps";
import type { Actor } from "../lib/actor";
import { after, DAY, SECOND } from "../lib/clock";
import { AppError } from "../lib/errors";
import { readContext } from "./context";
import { type Arrival, type ReadEvent, readBatch, visitorOf } from "./ingest";
import type { EventDocument } from "./model";
import { dayVisitor } from "./privacy";
import type { Batch, BatchResult, EventResponse } from "./schema";
import { SESSION_GAP } from "./sessions";

/** How a batch came: what the request says beside its body. */
export interface Caller {
  /** Null for a browser that nobody is signed in to. */
  actor: Actor | null;
  address: string;
  userAgent: string | null;
  doNotTrack: boolean;
}

export const toEvent = (event: EventDocument): EventResponse => ({
  id: event._id,
  type: event.type,
  name: event.name,
  at: event.at.toISOString(),
  clientAt: event.clientAt?.toISOString() ?? null,
  sentAt: event.sentAt?.toISOString() ?? null,
  receivedAt: event.receivedAt.toISOString(),
  timeFlags: event.timeFlags,
  anonymousId: event.device?.startsWith("~") ? null : event.device,
  userId: event.userId,
  bot: event.bot,
  origin: event.origin,
  address: event.address,
  userAgent: event.userAgent,
  page: event.page,
  source: event.source,
  properties: event.properties,
});

/** Salts are kept for the day after theirs, because a visit may go on past midnight. */
const SALT_KEPT = 2 * DAY;

/**
 * Gives events without any id a device for the day. One that was active within the last half hour under
 * yesterday's salt keeps yesterday's, so that midnight ends no session.
 */
async function nameDevices(deps: Deps, events: ReadEvent[]): Promise<void> {
  const nameless = events.flatMap(({ document, needsDevice }) =>
    needsDevice === null ? [] : [{ document, ...needsDevice }],
  );
  if (nameless.length === 0) return;
  const now = deps.clock.now();
  const saltOf = (time: Date) => {
    const day = time.toISOString().slice(0, 10);
    const end = after(new Date(`${day}T00:00:00Z`), SALT_KEPT);
    return deps.analytics.daySalt(day, deps.random.bytes(32), end);
  };
  const [before, today] = [await saltOf(after(now, -DAY)), await saltOf(now)];
  const yesterdays = nameless.map(({ address, userAgent }) => dayVisitor(before, address, userAgent));
  const recent = { from: after(now, -SESSION_GAP), to: now };
  const active = await deps.analytics.activeDevices([...new Set(yesterdays)], recent);
  nameless.forEach(({ document, address, userAgent }, index) => {
    const yesterday = yesterdays[index];
    document.device =
      yesterday !== undefined && active.has(yesterday) ? yesterday : dayVisitor(today, address, userAgent);
    document.visitor = visitorOf(document);
  });
}

/** Of events with one id in one batch, the first is the event and the others are duplicates. */
function firstOfEach(events: ReadEvent[]): ReadEvent[] {
  const seen = new Set<string>();
  return events.filter(({ document }) => !seen.has(document._id) && seen.add(document._id));
}

/**
 * Stores a batch of events. An event id is stored once, whoever sends it and how often. What is wrong with one event
 * costs the others nothing.
 * @throws AppError forbidden for an API key without `analytics:write`
 */
export async function track(deps: Deps, caller: Caller, input: Batch): Promise<BatchResult> {
  const { actor } = caller;
  if (actor?.kind === "apiKey" && !actor.permissions.has("analytics:write")) {
    throw new AppError("forbidden", "This needs the permission analytics:write.");
  }
  const { context, ignored } = readContext(input.context ?? {});
  const arrival: Arrival = {
    origin: actor?.kind === "apiKey" ? "server" : "browser",
    userId: actor?.kind === "user" ? actor.userId : null,
    address: caller.address,
    userAgent: caller.userAgent,
    doNotTrack: caller.doNotTrack && actor?.kind !== "apiKey",
    receivedAt: deps.clock.now(),
    sentAt: input.sentAt ? new Date(input.sentAt) : null,
    context,
  };
  const { events, rejected } = readBatch(input.batch, arrival);
  const distinct = firstOfEach(events);
  await nameDevices(deps, distinct);
  const inserted = await deps.analytics.insertEvents(distinct.map(({ document }) => document));
  if (inserted.size > 0) await wakeSessioniser(deps);
  return {
    accepted: inserted.size,
    duplicate: events.length - inserted.size,
    rejected,
    ignored,
    flagged: distinct
      .filter(({ document }) => inserted.has(document._id) && document.timeFlags.length > 0)
      .map(({ index, document }) => ({ index, flags: document.timeFlags })),
  };
}

/** How long events may wait for their session when no report asks, in milliseconds. */
const SETTLE_EVERY = 5 * SECOND;

/**
 * Makes sure that a job settles what was stored, one for all events of some seconds. The job runs when its
 * slot is over, so that everything of the slot is there. What a lost job leaves is done by the next one, or by the next
 * report: the events themselves say that they wait.
 */
export async function wakeSessioniser(deps: Deps): Promise<void> {
  const slot = Math.floor(deps.clock.now().getTime() / SETTLE_EVERY);
  if (lastSlot.get(deps) === slot) return;
  await deps.jobs.mongo.enqueue({
    id: deps.random.id(),
    kind: "analytics.settle",
    payload: {},
    runAt: new Date((slot + 1) * SETTLE_EVERY),
    dedupeKey: `analytics.settle:${slot}`,
  });
  lastSlot.set(deps, slot);
}

/** The slot that this process has enqueued last; it only saves asking again. */
const lastSlot = new WeakMap<Deps, number>();

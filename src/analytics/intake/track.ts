import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { AnalyticsDeps } from "../deps";
import { scheduleSettling } from "../schedule";
import { readContext } from "./context";
import { nameDevices } from "./devices";
import { countIntake, sampleOf } from "./health";
import { nameProducts } from "./products";
import { type Arrival, type ReadEvent, readBatch } from "./read";
import type { Batch, BatchResult } from "./schema";
import { shortenContext } from "./shorten";

/** How a batch came: what the request says beside its body. */
export interface Caller {
  /** Null for a browser that nobody is signed in to. */
  actor: Actor | null;
  address: string;
  userAgent: string | null;
  doNotTrack: boolean;
  /** The write key that came with it. */
  writeKey?: string;
}

const isTooMany = (error: unknown): error is AppError =>
  error instanceof AppError && error.code === "too_many_requests";

/** Unknown fields that an answer names. */
const MOST_UNKNOWN = 20;

/** Of events with one id in one batch, the first is the event and the others are duplicates. */
function firstOfEach(events: ReadEvent[]): ReadEvent[] {
  const ids = new Set<string>();
  return events.filter(({ document }) => !ids.has(document._id) && ids.add(document._id));
}

/** Counts events for the limits of whoever sends them. @throws AppError too_many_requests */
async function spend(deps: AnalyticsDeps, caller: Caller, events: number): Promise<void> {
  const { actor, writeKey: key, address } = caller;
  const source = actor?.kind === "apiKey" ? { key: actor.callerId } : { key, address };
  try {
    await deps.intakeLimits.spend(source, events);
  } catch (error) {
    if (isTooMany(error)) {
      await countIntake(deps, [{ outcome: "rejected", reason: error.code, count: Math.max(1, events) }]);
    }
    throw error;
  }
}

/**
 * Stores a batch of events. An event id is stored once, whoever sends it and how often. What is wrong with one event
 * costs the others nothing.
 * @throws AppError forbidden for an API key without `analytics:write`, too_many_requests
 */
export async function track(deps: AnalyticsDeps, caller: Caller, input: Batch): Promise<BatchResult> {
  const { actor } = caller;
  if (actor?.kind === "apiKey" && !actor.permissions.has("analytics:write")) {
    throw new AppError("forbidden", "This needs the permission analytics:write.");
  }
  await spend(deps, caller, input.batch.length);
  const { context, ignored } = readContext(shortenContext(input.context ?? {}));
  const arrival: Arrival = {
    origin: actor?.kind === "apiKey" ? "server" : "browser",
    userId: actor?.kind === "user" ? actor.userId : null,
    address: caller.address,
    userAgent: caller.userAgent,
    doNotTrack: caller.doNotTrack && actor?.kind !== "apiKey",
    receivedAt: deps.clock.now(),
    sentAt: input.sentAt ? new Date(input.sentAt) : null,
    context,
    hosts: deps.config.analyticsHosts,
  };
  const { events, rejected, unknown } = readBatch(input.batch, arrival);
  const distinct = firstOfEach(events);
  await nameDevices(deps, distinct);
  await nameProducts(deps, distinct);
  const inserted = await deps.analytics.events.insert(distinct.map(({ document }) => document));
  if (inserted.size > 0) await scheduleSettling(deps);
  const sample = (index: number) => sampleOf(input.batch[index], arrival.origin);
  await countIntake(deps, [
    { outcome: "accepted", count: inserted.size },
    { outcome: "duplicate", count: events.length - inserted.size },
    ...rejected.map(({ index, code, reason }) => ({
      outcome: "rejected" as const,
      // Reasons of schemas name our own fields; others may hold what the sender wrote.
      reason: code === "invalid" ? reason.slice(0, 150) : code,
      sample: sample(index),
    })),
    ...distinct.flatMap(({ index, document }) =>
      document.timeFlags.map((reason) => ({ outcome: "flagged" as const, reason, sample: sample(index) })),
    ),
    ...ignored.map(({ path }) => ({ outcome: "ignored" as const, reason: path.slice(0, 150) })),
    ...(unknown.size > 0
      ? [{ outcome: "ignored" as const, reason: "unknown field", count: Math.max(...unknown.values()) }]
      : []),
  ]);
  return {
    accepted: inserted.size,
    duplicate: events.length - inserted.size,
    rejected,
    ignored: [
      ...ignored,
      ...[...unknown].slice(0, MOST_UNKNOWN).map(([field, count]) => ({
        path: `batch.*.${field.slice(0, 100)}`,
        reason: `unknown field; ${count} ${count === 1 ? "event has" : "events have"} it`,
      })),
    ],
    flagged: distinct
      .filter(({ document }) => inserted.has(document._id) && document.timeFlags.length > 0)
      .map(({ index, document }) => ({ index, flags: document.timeFlags })),
  };
}

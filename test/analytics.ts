import { expect } from "bun:test";
import type { Arrival } from "../src/analytics/intake/read";
import { type BatchResult, batchSchema } from "../src/analytics/intake/schema";
import { track } from "../src/analytics/intake/track";
import type { EventDocument, SessionDocument } from "../src/analytics/model";
import { settle } from "../src/analytics/settle";
import { AppError } from "../src/lib/errors";
import type { TestApp } from "./app";

/** A browser of a person; without one, requests of tests count as bots or as nobody. */
export const BROWSER =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/** A stored event of which only the rules under test say more. */
export const STORED_EVENT: EventDocument = {
  _id: "",
  type: "track",
  name: "x",
  kind: null,
  at: new Date(0),
  clientAt: null,
  sentAt: null,
  receivedAt: new Date(0),
  timeFlags: [],
  device: null,
  userId: null,
  visitor: "",
  bot: false,
  origin: "browser",
  address: null,
  userAgent: null,
  page: null,
  source: "direct",
  properties: {},
  products: [],
  categories: [],
  searchId: null,
  query: null,
  results: null,
  position: null,
  orderId: null,
  revenue: 0,
  currency: null,
};

/** A batch of a browser of which only the rules under test say more. */
export const ARRIVAL: Omit<Arrival, "receivedAt"> = {
  origin: "browser",
  userId: null,
  address: "203.0.113.7",
  userAgent: null,
  doNotTrack: false,
  sentAt: null,
  context: null,
};

let count = 0;

/** A track event with an id of its own. */
export const anEvent = (more: Record<string, unknown> = {}) => ({
  messageId: `event-${++count}`,
  type: "track",
  event: "Product Viewed",
  anonymousId: "device-1",
  ...more,
});

/** Sends a batch as a browser. */
export const sendBatch = (t: TestApp, body: unknown, init: RequestInit & { token?: string } = {}) =>
  t.request("/api/analytics/events", {
    method: "POST",
    json: body,
    ...init,
    headers: { "user-agent": BROWSER, ...(init.headers as Record<string, string>) },
  });

/** Sends a batch that is taken. @returns what became of it */
export async function sent(
  t: TestApp,
  body: unknown,
  init: RequestInit & { token?: string } = {},
): Promise<BatchResult> {
  const answer = await sendBatch(t, body, init);
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { data: BatchResult }).data;
}

/** Sends a batch as a server with an API key. @returns what became of it */
export const sentByServer = (t: TestApp, body: unknown, callerId = "key:test"): Promise<BatchResult> =>
  track(
    t.deps,
    {
      actor: {
        kind: "apiKey",
        callerId,
        userId: "owner",
        sessionId: null,
        permissions: new Set(["analytics:write"]),
      },
      address: "10.0.0.1",
      userAgent: "shop-server/1.0",
      doNotTrack: false,
    },
    batchSchema.parse(JSON.parse(JSON.stringify(body))),
  );

export const eventsOf = (t: TestApp) => t.deps.mongo.connection.collection<EventDocument>("analytics");
export const sessionsOf = (t: TestApp) => t.deps.mongo.connection.collection<SessionDocument>("sessions");

/** Visitor, first and last time and number of events of each stored session, sorted. */
export const storedSessions = async (t: TestApp): Promise<string[]> =>
  (await sessionsOf(t).find({}).toArray())
    .map(
      ({ visitor, start, end, counts }) => `${visitor} ${start.getTime()} ${end.getTime()} ${counts.events}`,
    )
    .sort();

/**
 * Settles as another process would: not shared with the callers of this one, and again when the others were
 * quicker, as its job is run again. What comes out in the end is for the test to say.
 */
export async function settleElsewhere(t: TestApp): Promise<void> {
  for (;;) {
    try {
      if (await settle({ ...t.deps })) return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "service_unavailable") throw error;
    }
  }
}

/** Leaves nothing of analytics, for tests of one file that count. */
export async function emptyAnalytics(t: TestApp): Promise<void> {
  for (const name of [
    "analytics",
    "sessions",
    "analyticsRollups",
    "analyticsDirty",
    "analyticsPopularity",
    "analyticsDevices",
  ]) {
    await t.deps.mongo.connection.collection(name).deleteMany({});
  }
}

/** Repeatable chance (mulberry32): numbers from 0 to below 1. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

import { createHash } from "node:crypto";
import { after, MINUTE, pause, SECOND } from "../lib/clock";
import { AppError } from "../lib/errors";
import type { AnalyticsDeps } from "./deps";
import type { EventDocument } from "./model";
import { messageIdOf } from "./visitor";

/** One message of the live view, as server-sent events name their parts. */
export interface LiveMessage {
  event: "events" | "summary";
  /** From here a client goes on after a break (Last-Event-ID): when the store was read, in milliseconds. */
  id: string;
  data: string;
}

export interface LivePace {
  /** Between two looks at the store, in milliseconds. */
  every: number;
  /** Between two summaries, which are the heartbeat too: shorter than any proxy waits. */
  summaryEvery: number;
}

const PACE: LivePace = { every: SECOND, summaryEvery: 5 * SECOND };
/** Events that are shown of one look; of more, the latest. */
const SHOWN = 50;
/** How far back a client may go on. */
const RESUME = 5 * MINUTE;
/** A write may become visible so long after the time it carries. */
const LATE = 5 * SECOND;
/** Whoever did something within it is here now. */
const PRESENT = 5 * MINUTE;
/** Streams that one process serves at once: each of them asks the store every second. */
const MAX_STREAMS = 50;

/** Stands for a message id, which may name somebody: the same for the same event. */
export const liveIdOf = (messageId: string): string =>
  createHash("sha256").update(messageId).digest("base64url").slice(0, 16);

/** Sections of a shop whose pages are about one person. */
const PERSONAL =
  /^(u|m|users?|accounts?|people|persons?|profiles?|members?|customers?|clients?|authors?|artists?|sellers?|vendors?|creators?|contacts?|friends|followers|staff|team|employees?|reviewers?|referrals?|refer|invites?|invitations?|wish|wishlists?|registry|registries|gifts?|for|by|my|orders?|invoices?|reset|unsubscribe)$/;

/** A path without what may name somebody: parts that are no plain words, and all behind a personal section. */
export function maskPath(path: string): string {
  let personal = false;
  return path
    .split("/")
    .map((part) => {
      const shown = part === "" || (!personal && /^[a-z]+(-[a-z]+){0,5}$/.test(part) && part.length <= 40);
      personal ||= part
        .toLowerCase()
        .split("-")
        .some((word) => PERSONAL.test(word));
      return shown ? part : "*";
    })
    .join("/");
}

/** What an event shows of itself: nothing that tells who it was. Titles and names of the shop's own may. */
const toLiveEvent = (event: EventDocument) => ({
  id: liveIdOf(messageIdOf(event)),
  at: event.at.toISOString(),
  type: event.type,
  name: event.kind === null || event.type !== "track" ? event.type : event.name,
  path: event.page?.path ? maskPath(event.page.path) : null,
  productId: /^[A-Za-z0-9_-]{1,64}$/.test(event.products[0]?.id ?? "") ? event.products[0]?.id : null,
  source: event.source.includes("@") ? "campaign" : event.source,
  bot: event.bot,
});

async function summarise(deps: AnalyticsDeps, now: Date) {
  const rows = await deps.analytics.events.activity({ from: after(now, -PRESENT), to: after(now, 1) });
  const of = (bot: boolean) => {
    const { visitors = 0, events = 0 } = rows.find((row) => row.bot === bot) ?? {};
    return { visitors, events };
  };
  return { at: now.toISOString(), minutes: PRESENT / MINUTE, people: of(false), bots: of(true) };
}

type Summary = Awaited<ReturnType<typeof summarise>>;

/** The last summary of this process: who watches at the same moment sees the same one. */
const summaries = new WeakMap<AnalyticsDeps, { asked: number; summary: Promise<Summary> }>();

/** Counting five minutes of events is the dear part of a live view, so one for all is made at a time. */
function summaryOf(deps: AnalyticsDeps, now: Date, every: number): Promise<Summary> {
  const last = summaries.get(deps);
  if (last && performance.now() - last.asked < every) return last.summary;
  const summary = summarise(deps, now);
  summaries.set(deps, { asked: performance.now(), summary });
  return summary;
}

const streams = new WeakMap<AnalyticsDeps, number>();

/**
 * What happens now, until `signal` ends it: events as they are received by any process, and a summary of who
 * is here. Reads the store again and again, because not every engine has change streams; the last seconds are read
 * twice, so that a slow write is not missed, and known ids are left out.
 * @param resume the id of the last message that a client has seen
 */
export async function* live(
  deps: AnalyticsDeps,
  signal: AbortSignal,
  resume: string | undefined,
  pace: LivePace = PACE,
): AsyncGenerator<LiveMessage> {
  const seen = new Map<string, number>();
  const start = deps.clock.now().getTime();
  const asked = /^\d{13}$/.test(resume ?? "") ? Number(resume) : start;
  // Without one, the view begins with the last seconds.
  let since = Math.min(start, Math.max(asked, start - RESUME));
  let nextSummary = Number.NEGATIVE_INFINITY;
  streams.set(deps, (streams.get(deps) ?? 0) + 1);
  try {
    while (!signal.aborted) {
      const now = deps.clock.now();
      const id = String(now.getTime());
      if (performance.now() >= nextSummary) {
        nextSummary = performance.now() + pace.summaryEvery;
        yield { event: "summary", id, data: JSON.stringify(await summaryOf(deps, now, pace.every)) };
      }
      const range = { from: new Date(since - LATE), to: after(now, 1) };
      const fresh = (await deps.analytics.events.received(range, SHOWN)).filter(({ _id }) => !seen.has(_id));
      for (const { _id, receivedAt } of fresh) seen.set(_id, receivedAt.getTime());
      for (const [known, time] of seen) if (time < now.getTime() - 2 * LATE) seen.delete(known);
      since = now.getTime();
      if (fresh.length > 0) {
        yield { event: "events", id, data: JSON.stringify(fresh.toReversed().map(toLiveEvent)) };
      }
      await pause(pace.every, signal);
    }
  } finally {
    streams.set(deps, (streams.get(deps) ?? 1) - 1);
  }
}

/** @throws AppError too_many_requests when this process serves as many streams as it may */
export function admitLive(deps: AnalyticsDeps): void {
  if ((streams.get(deps) ?? 0) < MAX_STREAMS) return;
  throw new AppError("too_many_requests", "Too many live views are open. Close one, or try again later.", {
    retryAfter: 30,
  });
}

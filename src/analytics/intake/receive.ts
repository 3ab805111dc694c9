import { z } from "zod";
import { AppError } from "../../lib/errors";
import { isObject } from "../../lib/json";
import type { AnalyticsDeps } from "../deps";
import type { EventType } from "../model";
import { isWriteKey } from "../write-keys/schema";
import { type BatchResult, batchSchema, MAX_EVENTS } from "./schema";
import { type Caller, track } from "./track";

/** The addresses under which Segment's and RudderStack's libraries send events, and the type that each says. */
export const CALLS = {
  batch: null,
  b: null,
  import: null,
  track: "track",
  t: "track",
  page: "page",
  p: "page",
  screen: "screen",
  s: "screen",
  identify: "identify",
  i: "identify",
  group: "group",
  g: "group",
  alias: "alias",
  a: "alias",
} as const satisfies Record<string, EventType | null>;
export type Call = keyof typeof CALLS;

/** What a library sends beside its body. */
export interface Sender extends Omit<Caller, "actor"> {
  /** The `Authorization` header. */
  authorization: string | undefined;
  /** The page's origin, which browsers say and nobody else needs to. */
  origin: string | undefined;
}

type Body = Record<string, unknown>;

/** The user name of HTTP Basic authentication (RFC 7617); libraries send no password. */
function basicUser(authorization: string | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]{1,400})$/i.exec(authorization ?? "")?.[1];
  return encoded === undefined ? undefined : atob(encoded.replace(/=+$/, "")).split(":", 1)[0];
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/**
 * Who sends events with a key. A write key is public, so what comes with it is as good as what a browser says; an API
 * key with `analytics:write` makes it a server's word.
 * @throws AppError unauthenticated, forbidden
 */
async function callerOf(deps: AnalyticsDeps, body: Body, sender: Sender): Promise<Caller> {
  const { authorization, origin, ...caller } = sender;
  const key = basicUser(authorization) || text(body.writeKey) || "";
  if (!isWriteKey(key)) {
    const actor = key === "" ? null : await deps.authenticate(key);
    if (actor?.kind !== "apiKey") {
      throw new AppError("unauthenticated", "Send a write key as the user name of Basic, or as writeKey.");
    }
    return { ...caller, actor };
  }
  const known = await deps.analytics.writeKeys.find(key);
  if (known === null || known.revokedAt !== null) {
    throw new AppError("unauthenticated", "This write key does not exist, or was revoked.");
  }
  if (origin !== undefined && known.origins.length > 0 && !known.origins.includes(origin)) {
    throw new AppError("forbidden", "This write key is not for pages of this origin.");
  }
  return { ...caller, actor: null, writeKey: key };
}

/** Events of a body: those of its batch, or itself. Ids that are missing are made here. */
function eventsOf(deps: AnalyticsDeps, call: Call, body: Body): unknown[] {
  const type = CALLS[call];
  const events = type === null ? body.batch : [{ ...body, type, sentAt: body.sentAt ?? body.sent_at }];
  if (!Array.isArray(events) || events.length > MAX_EVENTS) {
    throw new AppError("invalid_input", "Some of the input is not valid; see errors.", {
      errors: [
        { path: "batch", code: "wrong_type", message: `must be a list of at most ${MAX_EVENTS} events` },
      ],
    });
  }
  return events.map((event: unknown) =>
    isObject(event) ? { ...event, messageId: text(event.messageId) || deps.random.id() } : event,
  );
}

const time = z.iso.datetime({ offset: true });

/** Stores what a library of Segment or RudderStack sent. @throws AppError unauthenticated, forbidden, too_many_requests, invalid_input */
export async function receive(
  deps: AnalyticsDeps,
  call: Call,
  body: Body,
  sender: Sender,
): Promise<BatchResult> {
  const caller = await callerOf(deps, body, sender);
  const sentAt = time.safeParse(body.sentAt ?? body.sent_at).data;
  const context = CALLS[call] === null && typeof body.context === "object" ? body.context : null;
  const events = eventsOf(deps, call, body);
  return track(deps, caller, batchSchema.parse({ batch: events, sentAt, context }));
}

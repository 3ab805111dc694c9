import { isbot } from "isbot";
import { z } from "zod";
import { minorDigits } from "../lib/money";
import { canonicalKey } from "../lib/text";
import type { EventContext } from "./context";
import type { EventDocument, EventProduct } from "./model";
import { cleanUrl, shortenAddress, sourceOf } from "./privacy";
import { type BatchResult, eventSchema, MAX_DEPTH, MAX_EVENT, MAX_KEYS, type TrackedEvent } from "./schema";
import { type EventKind, kindOf } from "./spec";
import { placeTime } from "./time";

/** Who sent a batch, and how it arrived. */
export interface Arrival {
  origin: "browser" | "server";
  /** The person whose access token came with the batch. */
  userId: string | null;
  /** The caller's address; of a server it says nothing about the visitor. */
  address: string;
  userAgent: string | null;
  /** The browser asks not to be tracked (DNT or Global Privacy Control). */
  doNotTrack: boolean;
  receivedAt: Date;
  sentAt: Date | null;
  context: EventContext | null;
}

type Rejection = BatchResult["rejected"][number];

/** An event that can be stored; `needsDevice` when nothing but address and browser tells its visitor. */
export interface ReadEvent {
  index: number;
  document: EventDocument;
  needsDevice: { address: string; userAgent: string } | null;
}

/** Why an event is not stored. */
class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Keys that MongoDB cannot hold, or that its driver reads as something else. */
const IMPOSSIBLE_KEY = /\0|^_bsontype$|^__proto__$/;

/**
 * Refuses what is too deep or has too many keys, without recursion: what is measured here may be hostile.
 * A name with `$` or dots is as good as any other.
 */
export function checkShape(root: unknown): void {
  let keys = 0;
  const stack: [value: unknown, depth: number][] = [[root, 0]];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const [value, depth] = entry;
    if (typeof value !== "object" || value === null) continue;
    // Level 0 is the event itself, level 1 its `properties`.
    if (depth > MAX_DEPTH)
      throw new Refused("too_deep", `properties may be at most ${MAX_DEPTH} levels deep`);
    const names = Array.isArray(value) ? [] : Object.keys(value);
    keys += Array.isArray(value) ? value.length : names.length;
    if (keys > MAX_KEYS)
      throw new Refused("too_many_keys", `an event may have at most ${MAX_KEYS} keys and items`);
    const bad = names.find((name) => IMPOSSIBLE_KEY.test(name));
    if (bad !== undefined) {
      throw new Refused(
        "invalid_key",
        `the property name ${JSON.stringify(bad.slice(0, 50))} is not possible`,
      );
    }
    for (const item of Object.values(value)) stack.push([item, depth + 1]);
  }
}

const text = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u);
const textOrNumber = z.union([text, z.number().transform(String)]);
const count = z.number().int().min(0).max(1e9);
const decimal = z.union([
  z.number(),
  z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?$/)
    .transform(Number),
]);

/** The first of these properties that is of the kind; undefined when none is. A property may hold anything. */
function pick<T>(
  properties: Record<string, unknown>,
  schema: z.ZodType<T>,
  ...names: string[]
): T | undefined {
  for (const name of names) {
    const parsed = Object.hasOwn(properties, name) ? schema.safeParse(properties[name]) : undefined;
    if (parsed?.success) return parsed.data;
  }
  return undefined;
}

const productOf = (properties: Record<string, unknown>): EventProduct | null => {
  const id = pick(properties, textOrNumber, "product_id", "productId", "sku");
  return id === undefined ? null : { id, quantity: pick(properties, count, "quantity") ?? 1 };
};

/** Minor units of a decimal amount, as events carry it: 19.99 USD is 1999. */
function moneyOf(properties: Record<string, unknown>): { revenue: number; currency: string | null } {
  const currency = pick(properties, z.string().regex(/^[A-Za-z]{3}$/), "currency")?.toUpperCase() ?? null;
  const amount = pick(properties, decimal, "revenue", "total", "value");
  if (amount === undefined || amount < 0) return { revenue: 0, currency };
  let digits = 2;
  try {
    if (currency !== null) digits = minorDigits(currency);
  } catch {
    return { revenue: 0, currency: null };
  }
  const revenue = Math.round(amount * 10 ** digits);
  return Number.isSafeInteger(revenue) && revenue <= 1e12 ? { revenue, currency } : { revenue: 0, currency };
}

/** What reports need of an event's properties. Unreadable ones count as missing; they stay as they are. */
function meaningOf(kind: EventKind | null, id: string, properties: Record<string, unknown>) {
  const list = Array.isArray(properties.products) ? properties.products : [];
  const single = productOf(properties);
  const listed = list.flatMap((item: unknown) => {
    const product =
      typeof item === "object" && item !== null ? productOf(item as Record<string, unknown>) : null;
    return product === null ? [] : [product];
  });
  // Two lines of one thing are one product of the order.
  const merged = new Map<string, number>();
  for (const { id, quantity } of listed) merged.set(id, (merged.get(id) ?? 0) + quantity);
  const categories = [properties, ...(kind === "order" ? list : [])].flatMap((item: unknown) => {
    const record = typeof item === "object" && item !== null ? (item as Record<string, unknown>) : {};
    const category = pick(record, textOrNumber, "category_id", "categoryId", "category");
    return category === undefined ? [] : [category];
  });
  const searchId = pick(properties, text, "search_id", "searchId") ?? (kind === "search" ? id : null);
  const query = kind === "search" ? pick(properties, z.string().max(1000), "query") : undefined;
  return {
    products:
      kind === "order"
        ? [...merged].map(([id, quantity]) => ({ id, quantity }))
        : single === null
          ? []
          : [single],
    categories: [...new Set(categories)],
    searchId,
    query:
      query === undefined
        ? null
        : canonicalKey(query.replace(/\p{Cc}/gu, " "))
            .replace(/\s+/g, " ")
            .slice(0, 200) || null,
    results: kind === "search" ? (pick(properties, count, "results", "total", "count") ?? null) : null,
    position: pick(properties, count, "position") ?? null,
    orderId: kind === "order" ? (pick(properties, textOrNumber, "order_id", "orderId") ?? null) : null,
    ...(kind === "order" ? moneyOf(properties) : { revenue: 0, currency: null }),
  };
}

const dateOf = (value: string | null | undefined): Date | null => (value ? new Date(value) : null);

/** True when the context says that analytics was refused. */
const refusesConsent = (context: EventContext): boolean =>
  Object.entries(context.consent?.categoryPreferences ?? {}).some(
    ([category, allowed]) => category.toLowerCase() === "analytics" && !allowed,
  );

/** The person of an event: the token's, and nobody else's when there is one. */
function personOf(event: TrackedEvent, arrival: Arrival): string | null {
  const claimed = event.userId ?? null;
  if (arrival.userId === null) return claimed;
  if (claimed !== null && claimed !== arrival.userId) {
    throw new Refused("other_person", "userId is not the person who is signed in");
  }
  return arrival.userId;
}

/** Whether a program sent it, by its user agent; who sends none is not called one. */
export const isBot = (userAgent: string | null): boolean => userAgent !== null && isbot(userAgent);

/** The visitor of an event before the sessioniser has looked around it. */
export const visitorOf = (event: Pick<EventDocument, "bot" | "device" | "userId">): string => {
  if (event.bot) return `b:${event.device ?? event.userId}`;
  return event.userId === null ? `d:${event.device}` : `u:${event.userId}`;
};

function parse(input: unknown): TrackedEvent {
  checkShape(input);
  if (Buffer.byteLength(JSON.stringify(input) ?? "") > MAX_EVENT) {
    throw new Refused("too_large", `an event may be at most ${MAX_EVENT} bytes`);
  }
  const parsed = eventSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.code === "unrecognized_keys" ? issue.keys[0] : issue?.path.join(".");
  const message =
    issue?.code === "unrecognized_keys"
      ? "is not a known field; remove it or check its spelling"
      : issue?.message;
  throw new Refused("invalid", path ? `${path.slice(0, 100)}: ${message}` : (message ?? "is not valid"));
}

function toDocument(event: TrackedEvent, arrival: Arrival): Omit<ReadEvent, "index"> {
  const context = { ...arrival.context, ...event.context };
  if (refusesConsent(context)) throw new Refused("no_consent", "the visitor has not consented to analytics");
  const userId = personOf(event, arrival);
  const userAgent = (context.userAgent ?? (arrival.origin === "browser" ? arrival.userAgent : null))?.slice(
    0,
    300,
  );
  const address = arrival.origin === "browser" ? arrival.address : (context.ip ?? null);
  const sentAt = dateOf(event.sentAt) ?? arrival.sentAt;
  const clientAt = dateOf(event.timestamp);
  const { at, flags } = placeTime(clientAt, sentAt, arrival.receivedAt);
  const device = event.anonymousId ?? null;
  const needsDevice =
    device === null && userId === null && address !== null ? { address, userAgent: userAgent ?? "" } : null;
  if (device === null && userId === null && needsDevice === null) {
    throw new Refused("no_visitor", "send anonymousId, userId, or context.ip and context.userAgent");
  }
  const name = event.event ?? event.name ?? context.page?.title ?? event.type;
  const kind = event.type === "page" ? "page" : event.type === "track" ? kindOf(name) : null;
  const properties = { ...(event.type === "identify" ? event.traits : event.properties) };
  const pageText = (key: "url" | "referrer") =>
    context.page?.[key] ?? (event.type === "page" ? pick(properties, z.string(), key) : undefined);
  const url = cleanUrl(pageText("url") ?? "");
  const referrer = cleanUrl(pageText("referrer") ?? "");
  const path = url?.pathname ?? context.page?.path ?? pick(properties, z.string().max(2000), "path");
  const page =
    context.page || event.type === "page"
      ? {
          url: url?.href ?? null,
          path: path?.split(/[?#]/)[0]?.trim() || null,
          referrer: referrer === null ? null : `${referrer.origin}${referrer.pathname}`,
          title: context.page?.title ?? null,
        }
      : null;
  for (const [key, clean] of [
    ["url", url],
    ["referrer", referrer],
  ] as const) {
    if (event.type === "page" && typeof properties[key] === "string") properties[key] = clean?.href ?? null;
  }
  // The query string of a page may hold what is nobody's business; `cleanUrl` keeps its campaign.
  if (event.type === "page") delete properties.search;
  const bot = isBot(userAgent ?? null);
  const document: EventDocument = {
    _id: event.messageId,
    type: event.type,
    name,
    kind,
    at,
    clientAt,
    sentAt,
    receivedAt: arrival.receivedAt,
    timeFlags: flags,
    device,
    userId,
    visitor: visitorOf({ bot, device, userId }),
    bot,
    origin: arrival.origin,
    address: address === null ? null : shortenAddress(address),
    userAgent: userAgent ?? null,
    page,
    source: sourceOf({ url, referrer }, context.campaign),
    properties,
    ...meaningOf(kind, event.messageId, properties),
    todo: 1,
  };
  return { document, needsDevice };
}

/** Judges the events of a batch one by one: what can be stored, and why the others cannot. Pure. */
export function readBatch(
  inputs: unknown[],
  arrival: Arrival,
): { events: ReadEvent[]; rejected: Rejection[] } {
  const events: ReadEvent[] = [];
  const rejected: Rejection[] = [];
  inputs.forEach((input, index) => {
    try {
      const event = parse(input);
      if (arrival.doNotTrack) throw new Refused("do_not_track", "the browser asks not to be tracked");
      events.push({ index, ...toDocument(event, arrival) });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const messageId = (input as { messageId?: unknown } | null)?.messageId;
      rejected.push({
        index,
        messageId: typeof messageId === "string" ? messageId.slice(0, 100) : null,
        code: error.code,
        reason: error.message,
      });
    }
  });
  return { events, rejected };
}

import { z } from "zod";
import type { Flag, NewEvent } from "../model";
import { SESSION_GAP } from "../sessions/sessionise";
import { eventIdOf, isBot, isOutsidePages, visitorOf } from "../visitor";
import { isRefused } from "./consent";
import type { EventContext } from "./context";
import { meaningOf, mergeProducts, type NamedProduct, pick } from "./meaning";
import { cleanAddresses, cleanUrl, shortenAddress } from "./privacy";
import { type BatchResult, eventSchema, MAX_EVENT, type TrackedEvent, unknownFields } from "./schema";
import { checkShape, Refused } from "./shape";
import { shorten } from "./shorten";
import { type KnownHosts, sourceOf } from "./source";
import { kindOf } from "./spec";
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
  /** Hosts that say nothing of where a visit came from. */
  hosts?: KnownHosts;
}

const NO_HOSTS: KnownHosts = { own: [], ignored: [] };

type Rejection = BatchResult["rejected"][number];

/** An event that can be stored; `needsDevice` when nothing but address and browser tells its visitor. */
export interface ReadEvent {
  index: number;
  document: NewEvent;
  needsDevice: { address: string; userAgent: string } | null;
  /** Its products, when an SKU alone names one of them. */
  bySku: NamedProduct[] | null;
}

const dateOf = (value: string | null | undefined): Date | null => (value ? new Date(value) : null);

/** Whether an event says that its visitor did nothing: `nonInteraction` is Google's word for it. */
const isPassive = (type: TrackedEvent["type"], properties: Record<string, unknown>): boolean =>
  ["identify", "group", "alias"].includes(type) ||
  ["nonInteraction", "non_interaction", "nonInteractive"].some((name) =>
    [true, 1, "true", "1"].includes(properties[name] as never),
  );

/** Whether a library runs on a server, so that the request's address and program say nothing of the visitor. */
const isServerLibrary = (name: unknown): boolean =>
  typeof name === "string" &&
  /^server$|node|python|ruby|php|\.net|java(?!script)|(^|[^a-z])(go|rust)$/i.test(name);

/** The person of an event: the token's, and nobody else's when there is one. */
function personOf(event: TrackedEvent, arrival: Arrival): string | null {
  const claimed = event.userId ?? null;
  if (arrival.userId === null) return claimed;
  if (claimed !== null && claimed !== arrival.userId) {
    throw new Refused("other_person", "userId is not the person who is signed in");
  }
  return arrival.userId;
}

function parse(input: unknown): TrackedEvent {
  if (Buffer.byteLength(JSON.stringify(input) ?? "") > MAX_EVENT) {
    throw new Refused("too_large", `an event may be at most ${MAX_EVENT} bytes`);
  }
  const parsed = eventSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [path, message = "is not valid"] = [issue?.path.join("."), issue?.message];
  throw new Refused("invalid", path ? `${path.slice(0, 100)}: ${message}` : message);
}

/**
 * The page of an event, without what its addresses hold that is nobody's business. The properties of a page that say
 * the same are cleaned too.
 * @returns with it the page's address as it was sent, and what led there
 */
function pageOf(event: TrackedEvent, context: Partial<EventContext>, properties: Record<string, unknown>) {
  const pageText = (key: "url" | "referrer") =>
    context.page?.[key] ?? (event.type === "page" ? pick(properties, z.string(), key) : undefined);
  const address = pageText("url") ?? null;
  const url = cleanUrl(address ?? "");
  const referrer = cleanUrl(pageText("referrer") ?? "");
  const path = url?.pathname ?? context.page?.path ?? pick(properties, z.string(), "path");
  const page =
    context.page || event.type === "page"
      ? {
          url: url?.href ?? null,
          path: path?.split(/[?#]/)[0]?.slice(0, 2000).trim() || null,
          referrer: referrer === null ? null : `${referrer.origin}${referrer.pathname}`,
          title: (cleanAddresses(context.page?.title) as string | undefined) ?? null,
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
  return { page, address, referrer };
}

function toDocument(event: TrackedEvent, arrival: Arrival, index: number, shortened: Flag[]): ReadEvent {
  const context = { ...arrival.context, ...event.context };
  if (isRefused(arrival.context?.consent, event.context?.consent))
    throw new Refused("no_consent", "the visitor has not consented to analytics");
  const userId = personOf(event, arrival);
  const relayed = arrival.origin === "server" || isServerLibrary(context.library?.name ?? event.channel);
  const userAgent = (context.userAgent ?? (relayed ? null : arrival.userAgent))?.slice(0, 300);
  const address = relayed ? (context.ip ?? null) : arrival.address;
  const sentAt = dateOf(event.sentAt) ?? arrival.sentAt;
  const clientAt = dateOf(event.timestamp ?? event.originalTimestamp);
  const { at, flags: timeFlags } = placeTime(clientAt, sentAt, arrival.receivedAt);
  const flags = new Set<Flag>([...timeFlags, ...shortened]);
  const device = event.anonymousId ?? null;
  const needsDevice =
    device === null && userId === null && address !== null ? { address, userAgent: userAgent ?? "" } : null;
  if (device === null && userId === null && needsDevice === null) {
    throw new Refused("no_visitor", "send anonymousId, userId, or context.ip and context.userAgent");
  }
  const name = cleanAddresses(event.event ?? event.name ?? context.page?.title ?? event.type) as string;
  const kind =
    event.type === "page" || event.type === "screen" ? "page" : event.type === "track" ? kindOf(name) : null;
  const properties: Record<string, unknown> = {
    ...(event.type === "identify" || event.type === "group" ? event.traits : event.properties),
    ...(event.type === "group" && event.groupId ? { groupId: event.groupId } : {}),
    ...(event.type === "alias" && event.previousId ? { previousId: event.previousId } : {}),
  };
  const { page, address: pageAddress, referrer } = pageOf(event, context, properties);
  const bot = isBot(userAgent ?? null);
  const meaning = meaningOf(kind, event.messageId, properties, flags);
  const document: NewEvent = {
    _id: eventIdOf(event.messageId, arrival.origin),
    type: event.type,
    name,
    kind,
    at,
    clientAt,
    sentAt,
    receivedAt: arrival.receivedAt,
    sequence: arrival.receivedAt.getTime() * 1000 + index,
    device,
    userId,
    visitor: visitorOf({ bot, device, userId }),
    bot,
    origin: arrival.origin,
    address: address === null ? null : shortenAddress(address),
    userAgent: userAgent ?? null,
    page,
    source: sourceOf({ address: pageAddress, referrer }, context.campaign, arrival.hosts ?? NO_HOSTS),
    properties: cleanAddresses(properties) as Record<string, unknown>,
    ...meaning,
    ...(isPassive(event.type, properties) ? { passive: true as const } : {}),
    ...(relayed && isOutsidePages({ page, type: event.type }) ? { background: true as const } : {}),
    products: mergeProducts(meaning.products),
    timeFlags: [...flags],
  };
  const bySku = meaning.products.some(({ sku }) => sku !== undefined) ? meaning.products : null;
  return { index, document, needsDevice, bySku };
}

/**
 * What says no time happened before what its visitor did after it in the batch, as long as that was a moment ago: else
 * the batch brings in old events, and this one is of now.
 */
function placeUntimed(events: ReadEvent[]): void {
  const next = new Map<string, Date>();
  for (const { document, needsDevice } of events.toReversed()) {
    const who = document.device ?? document.userId ?? `${needsDevice?.address} ${needsDevice?.userAgent}`;
    const later = next.get(who);
    if (document.clientAt === null && later && document.at.getTime() - later.getTime() <= SESSION_GAP)
      document.at = later;
    next.set(who, document.at);
  }
}

/** Judges the events of a batch one by one: what can be stored, and why the others cannot. Pure. */
export function readBatch(
  inputs: unknown[],
  arrival: Arrival,
): { events: ReadEvent[]; rejected: Rejection[]; unknown: Map<string, number> } {
  const events: ReadEvent[] = [];
  const rejected: Rejection[] = [];
  const unknown = new Map<string, number>();
  inputs.forEach((input, index) => {
    try {
      checkShape(input);
      const { value, shortened } = shorten(input);
      const event = parse(value);
      for (const field of unknownFields(input as object)) unknown.set(field, (unknown.get(field) ?? 0) + 1);
      if (arrival.doNotTrack) throw new Refused("do_not_track", "the browser asks not to be tracked");
      events.push(toDocument(event, arrival, index, shortened ? ["shortened"] : []));
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
  placeUntimed(events);
  return { events, rejected, unknown };
}

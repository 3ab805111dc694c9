// Longer than others: every document of this folder, so that what is stored can be read in one place.
import { Schema } from "mongoose";
import { modelOf, schemaOf } from "../db/model";
import type { EventKind } from "./intake/spec";

/** A part of a time line: from is in it, to is not. */
export interface Range {
  from: Date;
  to: Date;
}

export const EVENT_TYPES = ["track", "page", "screen", "identify", "group", "alias"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What is wrong with a client's time. The event is kept, and its own times beside the one that is used. */
export const TIME_FLAGS = ["future", "too_old", "clock_skew"] as const;
export type TimeFlag = (typeof TIME_FLAGS)[number];

/** Whatever is wrong with an event that is kept all the same. */
export const FLAGS = [
  ...TIME_FLAGS,
  "shortened",
  "unreadable_amount",
  "missing_amount",
  "unreadable_currency",
  "unreadable_quantity",
  "unreadable_product",
  "unreadable_number",
] as const;
export type Flag = (typeof FLAGS)[number];

/** One thing of an order or a view. */
export interface EventProduct {
  id: string;
  quantity: number;
}

/** What one event adds to the figures of its order; see `orders.ts`. Amounts in minor units of `currency`. */
export interface OrderPart {
  /** The order counts here. */
  placed: boolean;
  /** The session of this event has the conversion. */
  credited: boolean;
  /** A server's key says so. */
  confirmed: boolean;
  cancelled: boolean;
  gross: number;
  refunded: number;
  unitsRefunded: number;
  currency: string | null;
  products: EventProduct[];
  /** Of the event that is credited: the amount of the order. */
  worth?: number;
}

/** One thing that someone did. Written once; afterwards only `visitor`, `order` and `todo` change. */
export interface EventDocument {
  /** The client's message id: what makes a repeated event one event. */
  _id: string;
  type: EventType;
  /** As it was sent: "Product Viewed", a page's name. */
  name: string;
  /** What the reports understand it as; null for names of the shop's own. */
  kind: EventKind | null;
  /** When it happened, by our clock: the client's time corrected by its `sentAt`. Reports go by it. */
  at: Date;
  /** What the client's clock said. */
  clientAt: Date | null;
  sentAt: Date | null;
  receivedAt: Date;
  /** Orders events of one time: by when they were received, then by their place in the batch. Old events have none. */
  sequence?: number;
  /** What is wrong with it, of its time or otherwise. */
  timeFlags: Flag[];
  /** The anonymous id of the device, or a day's hash for callers without one; null when only the person is known. */
  device: string | null;
  userId: string | null;
  /**
   * Whose it is: `u:` person, `d:` device, `b:` bot. Settling gives a device's events to the person who
   * signed in there.
   */
  visitor: string;
  bot: boolean;
  /** Its visitor did nothing: they were named, or the sender says so. It ends no bounce. */
  passive?: true;
  /** A server sent it, and no page is told: it joins the visitor's last visit, and makes none. */
  background?: true;
  /** `server` with an API key, `browser` otherwise. */
  origin: "browser" | "server";
  /** Shortened to /24 or /48. */
  address: string | null;
  userAgent: string | null;
  page: { url: string | null; path: string | null; referrer: string | null; title: string | null } | null;
  /** Where the visit came from, by campaign or referrer: "google / organic". */
  source: string;
  properties: Record<string, unknown>;
  products: EventProduct[];
  categories: string[];
  /** The search it is or follows. */
  searchId: string | null;
  /** What was searched for, in canonical form. */
  query: string | null;
  /** How many results the search had, when the client said. */
  results: number | null;
  position: number | null;
  orderId: string | null;
  /** Tells refunds of one order apart. */
  refundId?: string | null;
  /** Minor units. */
  revenue: number;
  /** No amount was stated, so `revenue` says nothing. */
  amountMissing?: boolean;
  currency: string | null;
  /** Of orders, updates, refunds and cancellations: made when they are settled. */
  order?: OrderPart;
  /** There until the event has its session: the events themselves are the queue. */
  todo?: 1;
}

/** An event as it is made; stores mark it as waiting for its session. */
export type NewEvent = Omit<EventDocument, "todo">;

const eventSchema = schemaOf<EventDocument>(
  {
    _id: { type: String, required: true },
    type: { type: String, required: true, enum: EVENT_TYPES },
    name: { type: String, required: true },
    kind: { type: String, default: null },
    at: { type: Date, required: true },
    clientAt: { type: Date, default: null },
    sentAt: { type: Date, default: null },
    receivedAt: { type: Date, required: true },
    sequence: Number,
    timeFlags: { type: [String], default: [] },
    device: { type: String, default: null },
    userId: { type: String, default: null },
    visitor: { type: String, required: true },
    bot: { type: Boolean, required: true },
    background: Boolean,
    passive: Boolean,
    origin: { type: String, required: true },
    address: { type: String, default: null },
    userAgent: { type: String, default: null },
    page: { type: Schema.Types.Mixed, default: null },
    source: { type: String, required: true },
    properties: { type: Schema.Types.Mixed, default: {} },
    products: { type: [{ _id: false, id: String, quantity: Number }], default: [] },
    categories: { type: [String], default: [] },
    searchId: { type: String, default: null },
    query: { type: String, default: null },
    results: { type: Number, default: null },
    position: { type: Number, default: null },
    orderId: { type: String, default: null },
    refundId: String,
    revenue: { type: Number, default: 0 },
    amountMissing: Boolean,
    currency: { type: String, default: null },
    order: Schema.Types.Mixed,
    todo: Number,
  },
  { collection: "analytics", versionKey: false, minimize: false },
)
  .index({ at: 1 })
  .index({ visitor: 1, at: 1, sequence: 1, _id: 1 })
  .index({ device: 1, at: 1 })
  .index({ background: 1, visitor: 1, at: 1 }, { partialFilterExpression: { background: true } })
  .index({ background: 1, device: 1, at: 1 }, { partialFilterExpression: { background: true } })
  .index({ userId: 1, _id: 1 }, { partialFilterExpression: { userId: { $gt: "" } } })
  .index({ searchId: 1, at: 1 }, { partialFilterExpression: { searchId: { $gt: "" } } })
  .index({ orderId: 1 }, { partialFilterExpression: { orderId: { $gt: "" } } })
  .index({ receivedAt: 1, _id: 1 })
  .index({ todo: 1, receivedAt: 1 }, { partialFilterExpression: { todo: { $exists: true } } });

/** What happened in a session. Everything but the visitor can be added up. */
export interface SessionCounts {
  events: number;
  pages: number;
  views: number;
  adds: number;
  orders: number;
  searches: number;
}

/** A visit: events of one visitor without a pause of more than 30 minutes. Made from events, never edited. */
export interface SessionDocument {
  /** From the visitor and the start, so that a rebuild gives the same ids. */
  _id: string;
  visitor: string;
  userId: string | null;
  devices: string[];
  bot: boolean;
  start: Date;
  end: Date;
  counts: SessionCounts;
  /** Minor units by currency. */
  revenue: Record<string, number>;
  /** One page or view and nothing else. */
  bounced: boolean;
  /** How far it came in order: 0 nothing, 1 viewed, 2 then added, 3 then ordered. */
  funnel: 0 | 1 | 2 | 3;
  source: string;
  landing: string | null;
}

const sessionSchema = schemaOf<SessionDocument>(
  {
    _id: { type: String, required: true },
    visitor: { type: String, required: true },
    userId: { type: String, default: null },
    devices: { type: [String], default: [] },
    bot: { type: Boolean, required: true },
    start: { type: Date, required: true },
    end: { type: Date, required: true },
    counts: { type: Schema.Types.Mixed, required: true },
    revenue: { type: Schema.Types.Mixed, required: true },
    bounced: { type: Boolean, required: true },
    funnel: { type: Number, required: true },
    source: { type: String, required: true },
    landing: { type: String, default: null },
  },
  { collection: "sessions", versionKey: false, minimize: false },
)
  .index({ visitor: 1, start: -1, _id: -1 })
  .index({ start: 1 })
  .index({ bot: 1, start: -1, _id: -1 });

/** A quarter of an hour, or a day of UTC made of its quarter-hours. */
export type Level = "quarterHour" | "day";
/** What levels are called in the database. */
export const STORED_LEVEL = { quarterHour: "quarter", day: "day" } as const satisfies Record<Level, string>;
type StoredLevel = (typeof STORED_LEVEL)[Level];

/** What one rollup document holds. */
export type RollupKind =
  | "totals"
  | "visitors"
  | "products"
  | "categories"
  | "searches"
  | "sources"
  | "attributed";

/** A part of what happened in one bucket. Derived: recomputed from events and sessions when they change. */
export interface RollupDocument {
  _id: string;
  level: StoredLevel;
  kind: RollupKind;
  bot: boolean;
  /** The bucket's begin. */
  at: Date;
  /** Of `totals`. */
  totals?: unknown;
  /** Of `visitors`: whose sessions began here, and those who began their first; see `packing.ts`. */
  seen?: Buffer;
  fresh?: Buffer;
  /**
   * Of the other kinds: rows of [key, count, …] as JSON text. Reading 30 days of them as BSON values took
   * 200 ms, as text 30.
   */
  rows?: string;
}

const rollupSchema = schemaOf<RollupDocument>(
  {
    _id: { type: String, required: true },
    level: { type: String, required: true },
    kind: { type: String, required: true },
    bot: { type: Boolean, required: true },
    at: { type: Date, required: true },
    totals: Schema.Types.Mixed,
    seen: Buffer,
    fresh: Buffer,
    rows: String,
  },
  { collection: "analyticsRollups", versionKey: false },
)
  .index({ level: 1, at: 1 })
  .index({ kind: 1, level: 1, bot: 1, at: 1 });

/** A bucket whose rollup no longer says what its events do. */
export interface DirtyDocument {
  /** Level and begin. */
  _id: string;
  level: StoredLevel;
  at: Date;
  /** Changes with each new mark, so that a mark made during a recomputation survives it. */
  token: string;
  /** Who makes the bucket outside of a transaction; a mark that was taken away and made anew has none. */
  maker?: string;
}

const dirtySchema = schemaOf<DirtyDocument>(
  {
    _id: { type: String, required: true },
    level: { type: String, required: true },
    at: { type: Date, required: true },
    token: { type: String, required: true },
    maker: String,
  },
  { collection: "analyticsDirty", versionKey: false },
).index({ level: 1, at: 1 });

export const OUTCOMES = ["accepted", "duplicate", "rejected", "flagged", "ignored"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How many events of one minute had one outcome for one reason. */
export interface IntakeDocument {
  /** Minute, outcome and reason. */
  _id: string;
  at: Date;
  outcome: Outcome;
  reason: string;
  count: number;
  /** An event of this kind, without anything that its sender wrote. */
  sample: IntakeSample | null;
}

export interface IntakeSample {
  origin: "browser" | "server";
  type: string | null;
  kind: string | null;
  fields: string[];
}

const intakeSchema = schemaOf<IntakeDocument>(
  {
    _id: { type: String, required: true },
    at: { type: Date, required: true },
    outcome: { type: String, required: true },
    reason: { type: String, default: "" },
    count: { type: Number, required: true },
    sample: { type: Schema.Types.Mixed, default: null },
  },
  { collection: "analyticsIntake", versionKey: false, minimize: false },
).index({ at: 1 });

/** Whose a device is: a person's when they are the only one who was named on it; null when there are more. */
export interface DeviceDocument {
  /** The device. */
  _id: string;
  person: string | null;
}

const deviceSchema = schemaOf<DeviceDocument>(
  { _id: { type: String, required: true }, person: { type: String, default: null } },
  { collection: "analyticsDevices", versionKey: false },
).index({ person: 1 });

/** A key that pages and apps send events with. It is public: whoever has it can send events, and nothing else. */
export interface WriteKeyDocument {
  /** The key itself. */
  _id: string;
  name: string;
  /** Origins of pages that may use it; everywhere when there are none. */
  origins: string[];
  createdAt: Date;
  createdBy: string;
  revokedAt: Date | null;
}

const writeKeySchema = schemaOf<WriteKeyDocument>(
  {
    _id: { type: String, required: true },
    name: { type: String, required: true },
    origins: { type: [String], required: true },
    createdAt: { type: Date, required: true },
    createdBy: { type: String, required: true },
    revokedAt: { type: Date, default: null },
  },
  { collection: "analyticsWriteKeys", versionKey: false },
).index({ createdAt: 1, _id: 1 });

/** Small things that all processes share: the guard of settling, a day's salt, who was here before. */
export interface AnalyticsStateDocument {
  _id: string;
  version?: number;
  salt?: Buffer;
  expiresAt?: Date;
}

const stateSchema = schemaOf<AnalyticsStateDocument>(
  { _id: { type: String, required: true }, version: Number, salt: Buffer, expiresAt: Date },
  { collection: "analyticsState", versionKey: false },
).index({ expiresAt: 1 });

/** What a product's popularity is made of: the catalogue's own part and what behaviour adds. */
export interface PopularityDocument {
  /** The product's id. */
  _id: string;
  /** What was there before behaviour was added. */
  base: number;
  /** What was last written to the product. */
  written: number;
  /** What the product had before that: whoever read the product then may still write it back. */
  before?: number;
}

const popularitySchema = schemaOf<PopularityDocument>(
  {
    _id: { type: String, required: true },
    base: { type: Number, required: true },
    written: { type: Number, required: true },
    before: Number,
  },
  { collection: "analyticsPopularity", versionKey: false },
);

export const eventModel = modelOf("AnalyticsEvent", eventSchema);
export const analyticsSessionModel = modelOf("AnalyticsSession", sessionSchema);
export const rollupModel = modelOf("AnalyticsRollup", rollupSchema);
export const dirtyModel = modelOf("AnalyticsDirty", dirtySchema);
export const analyticsStateModel = modelOf("AnalyticsState", stateSchema);
export const intakeModel = modelOf("AnalyticsIntake", intakeSchema);
export const deviceModel = modelOf("AnalyticsDevice", deviceSchema);
export const writeKeyModel = modelOf("AnalyticsWriteKey", writeKeySchema);
export const popularityModel = modelOf("AnalyticsPopularity", popularitySchema);

/** Every model of this folder, for the deploy step that makes collections and indexes. */
export const ANALYTICS_MODELS = [
  eventModel,
  analyticsSessionModel,
  rollupModel,
  dirtyModel,
  analyticsStateModel,
  intakeModel,
  deviceModel,
  writeKeyModel,
  popularityModel,
] as const;

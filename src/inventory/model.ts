// Longer than others: every document of stock, so that what is stored can be read in one place.
import { atMost } from "../db/at-most";
import { modelOf, schemaOf } from "../db/model";

/** Where stock lies: a warehouse, a shop, a shelf of a marketplace. */
export interface LocationDocument {
  _id: string;
  /** Short name that people type, such as `MAIN`. */
  code: string;
  /** Canonical form; unique. */
  codeKey: string;
  name: string;
  /** Smaller is taken first when a reservation leaves the choice to us. */
  priority: number;
  /** No new reservations from a location that is not active; what is reserved may still be ended. */
  active: boolean;
  /** How many levels name it: it can be deleted at 0. Every new level writes it, so the two cannot pass. */
  levelCount: number;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

export const BACKORDER_POLICIES = ["deny", "allow"] as const;

/** The stock of one SKU at one location. Only `store.apply` writes its quantities, with their movements. */
export interface LevelDocument {
  _id: string;
  sku: string;
  skuKey: string;
  /** SKUs that it had before, in canonical form: its older movements are under these. */
  formerSkuKeys?: string[];
  locationId: string;
  /** What is there. Below zero only by backorders that were committed before the goods came. */
  onHand: number;
  reserved: number;
  /** `onHand - reserved`, stored for indexes. */
  available: number;
  /** Number of the last movement; movements are unique by level and sequence. */
  sequence: number;
  /** Stock is low when no more than this is available; null for "never low". */
  safetyThreshold: number | null;
  backorder: (typeof BACKORDER_POLICIES)[number];
  /** How far `available` may go below zero while backorders are allowed; null for any number. */
  backorderLimit: number | null;
  /** `available <= safetyThreshold`, stored for the low-stock list. */
  low: boolean;
  /** When people were last told that it is low. */
  lowNoticeAt: Date | null;
  /** Of the settings, for their ETag; sales do not change it. */
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

export const MOVEMENT_KINDS = [
  "receive",
  "sell",
  "return",
  "adjust",
  "reserve",
  "release",
  "expire",
  "transfer",
] as const;
export type MovementKind = (typeof MOVEMENT_KINDS)[number];

/** One change of a level. Written once, never changed. */
export interface MovementDocument {
  _id: string;
  levelId: string;
  sequence: number;
  sku: string;
  skuKey: string;
  locationId: string;
  kind: MovementKind;
  /** Changes of the two quantities. */
  onHand: number;
  reserved: number;
  before: { onHand: number; reserved: number };
  after: { onHand: number; reserved: number };
  reason: string | null;
  reference: string | null;
  reservationId: string | null;
  transferId: string | null;
  /** Of a return: the sale whose goods came back. */
  reversesId?: string;
  /** Who did it: `user:ID`, `key:ID` or `system`. */
  actorId: string;
  /** In a correcting entry: how many earlier entries were found missing. */
  missing?: number;
  createdAt: Date;
}

export const RESERVATION_STATUSES = ["active", "committed", "released", "expired"] as const;
export type ReservationStatus = (typeof RESERVATION_STATUSES)[number];

export interface ReservationLine {
  sku: string;
  skuKey: string;
  quantity: number;
  /** Where the units were put aside; several when no single location had enough. */
  allocations: Allocation[];
}

/** Units of a line that one location put aside, and how many of them have left or gone back since. */
export interface Allocation {
  levelId: string;
  locationId: string;
  quantity: number;
  /** Absent is 0, and on a reservation that ended before parts were counted. */
  committed?: number;
  released?: number;
}

/** Stock held for someone until a time. Ends once: committed, released or expired. */
export interface ReservationDocument {
  _id: string;
  status: ReservationStatus;
  lines: ReservationLine[];
  reference: string | null;
  actorId: string;
  /** Of what a shopper holds for themselves: who it is, and a hash of the network that they came from. */
  shopperId?: string;
  shopperSource?: string;
  /** Grows with each change; absent is 0. */
  revision?: number;
  expiresAt: Date;
  createdAt: Date;
  updatedAt: Date;
  endedAt: Date | null;
}

/**
 * "The stock of this changed between none and some": written with the change, deleted when the products'
 * `inStock` agree with it. Exactly one of the three is set.
 */
export interface StockSignalDocument {
  _id: string;
  skuKey?: string;
  productId?: string;
  locationId?: string;
  createdAt: Date;
}

const count = {
  type: Number,
  validate: (value: number | null) => value === null || Number.isSafeInteger(value),
};
const quantities = {
  _id: false,
  onHand: { ...count, required: true },
  reserved: { ...count, required: true },
};

const locationSchema = schemaOf<LocationDocument>(
  {
    _id: { type: String, required: true },
    code: { type: String, required: true, validate: atMost(50) },
    codeKey: { type: String, required: true },
    name: { type: String, required: true, validate: atMost(200) },
    priority: { ...count, required: true },
    active: { type: Boolean, required: true },
    levelCount: { ...count, required: true },
    version: { type: Number, required: true },
    createdAt: { type: Date, required: true },
    updatedAt: { type: Date, required: true },
  },
  { collection: "stockLocations", versionKey: false, strict: "throw" },
).index({ codeKey: 1 }, { unique: true });

const levelSchema = schemaOf<LevelDocument>(
  {
    _id: { type: String, required: true },
    sku: { type: String, required: true, validate: atMost(100) },
    skuKey: { type: String, required: true },
    formerSkuKeys: { type: [String], default: undefined },
    locationId: { type: String, required: true },
    onHand: { ...count, required: true },
    reserved: { ...count, required: true, min: 0 },
    available: { ...count, required: true },
    sequence: { ...count, required: true },
    safetyThreshold: { ...count, default: null },
    backorder: { type: String, enum: BACKORDER_POLICIES, required: true },
    backorderLimit: { ...count, default: null },
    low: { type: Boolean, required: true },
    lowNoticeAt: { type: Date, default: null },
    version: { type: Number, required: true },
    createdAt: { type: Date, required: true },
    updatedAt: { type: Date, required: true },
  },
  { collection: "stockLevels", versionKey: false, strict: "throw" },
)
  .index({ skuKey: 1, locationId: 1 }, { unique: true })
  .index({ locationId: 1, skuKey: 1 })
  .index({ low: 1, skuKey: 1, locationId: 1 }, { partialFilterExpression: { low: true } })
  .index({ low: 1, locationId: 1, skuKey: 1 }, { partialFilterExpression: { low: true } });

const movementSchema = schemaOf<MovementDocument>(
  {
    _id: { type: String, required: true },
    levelId: { type: String, required: true },
    sequence: { ...count, required: true },
    sku: { type: String, required: true },
    skuKey: { type: String, required: true },
    locationId: { type: String, required: true },
    kind: { type: String, enum: MOVEMENT_KINDS, required: true },
    onHand: { ...count, required: true },
    reserved: { ...count, required: true },
    before: { ...quantities },
    after: { ...quantities },
    reason: { type: String, default: null },
    reference: { type: String, default: null },
    reservationId: { type: String, default: null },
    transferId: { type: String, default: null },
    reversesId: String,
    actorId: { type: String, required: true },
    missing: Number,
    createdAt: { type: Date, required: true },
  },
  { collection: "stockMovements", versionKey: false, strict: "throw" },
)
  .index({ levelId: 1, sequence: 1 }, { unique: true })
  .index({ skuKey: 1, _id: -1 })
  .index({ reversesId: 1 }, { partialFilterExpression: { reversesId: { $type: "string" } } })
  .index({ reservationId: 1, _id: -1 }, { partialFilterExpression: { reservationId: { $type: "string" } } });

const reservationSchema = schemaOf<ReservationDocument>(
  {
    _id: { type: String, required: true },
    status: { type: String, enum: RESERVATION_STATUSES, required: true },
    lines: {
      type: [
        {
          _id: false,
          sku: { type: String, required: true },
          skuKey: { type: String, required: true },
          quantity: { ...count, required: true },
          allocations: [
            {
              _id: false,
              levelId: String,
              locationId: String,
              quantity: { ...count },
              committed: Number,
              released: Number,
            },
          ],
        },
      ],
      required: true,
    },
    reference: { type: String, default: null },
    actorId: { type: String, required: true },
    shopperId: String,
    shopperSource: String,
    revision: Number,
    expiresAt: { type: Date, required: true },
    createdAt: { type: Date, required: true },
    updatedAt: { type: Date, required: true },
    endedAt: { type: Date, default: null },
  },
  { collection: "stockReservations", versionKey: false, strict: "throw" },
)
  .index({ status: 1, expiresAt: 1 })
  .index({ status: 1, _id: -1 })
  .index({ "lines.skuKey": 1 }, { partialFilterExpression: { status: "active" } });

/**
 * What one shopper or one network holds: whoever takes more counts it up, so that two at once conflict. It names the
 * reservations, because these lie on the shards of their own ids, and to look for them by shopper would ask all shards.
 * Of no use after a while.
 */
export interface ShopperDocument {
  /** One of `shopperKeys`. */
  _id: string;
  version: number;
  /** Every reservation that lives, and ended ones until more is taken. */
  reservationIds?: string[];
  /** Not before the last of them. */
  expiresAt: Date;
}

/** A shopper among the ids of their collection. */
export const personKey = (shopperId: string): string => `person ${shopperId}`;

/** Whose holdings a shopper's reservation counts among: their own, and those of the network that they came from. */
export const shopperKeys = ({
  shopperId,
  shopperSource,
}: Pick<ReservationDocument, "shopperId" | "shopperSource">): string[] =>
  // In one order, so that two do not wait for each other.
  shopperId === undefined ? [] : [`address ${shopperSource}`, personKey(shopperId)];

const shopperSchema = schemaOf<ShopperDocument>(
  {
    _id: { type: String, required: true },
    version: { type: Number, required: true },
    reservationIds: { type: [String], default: undefined },
    expiresAt: { type: Date, required: true },
  },
  { collection: "stockShoppers", versionKey: false, strict: "throw" },
).index({ expiresAt: 1 }, { expireAfterSeconds: 0 });

const signalSchema = schemaOf<StockSignalDocument>(
  {
    _id: { type: String, required: true },
    skuKey: String,
    productId: String,
    locationId: String,
    createdAt: Date,
  },
  { collection: "stockSignals", versionKey: false, strict: "throw" },
);

export const locationModel = modelOf("StockLocation", locationSchema);
export const levelModel = modelOf("StockLevel", levelSchema);
export const movementModel = modelOf("StockMovement", movementSchema);
export const reservationModel = modelOf("StockReservation", reservationSchema);
export const shopperModel = modelOf("StockShopper", shopperSchema);
export const signalModel = modelOf("StockSignal", signalSchema);

/** Every model of stock, for the deploy step. */
export const INVENTORY_MODELS = [
  locationModel,
  levelModel,
  movementModel,
  reservationModel,
  shopperModel,
  signalModel,
] as const;

import { HOUR } from "../lib/clock";
import { AppError } from "../lib/errors";
import type {
  LevelDocument,
  LocationDocument,
  MovementDocument,
  MovementKind,
  ReservationDocument,
} from "./model";

/** Most units that one line or one adjustment may name. */
export const MAX_QUANTITY = 1_000_000_000;
/** Most units that a level may hold or owe; sums of it stay exact. */
export const MAX_LEVEL = 1_000_000_000_000;
/** People hear of one level at most once in this time, in milliseconds. */
export const LOW_NOTICE_EVERY = HOUR;

/** What a transaction has read of stock. */
export interface StockRead {
  levels: LevelDocument[];
  locations: LocationDocument[];
  reservations: ReservationDocument[];
}

/** What a transaction has to write. */
export interface StockChanges {
  createdLevels: LevelDocument[];
  changedLevels: { from: LevelDocument; to: LevelDocument }[];
  movements: MovementDocument[];
  createdReservations: ReservationDocument[];
  changedReservations: { from: ReservationDocument; to: ReservationDocument }[];
  /** SKUs whose availability somewhere went from none to some or back. */
  crossed: string[];
  /** Levels that became low, and when people are to be told. */
  lowNotices: { levelId: string; at: Date }[];
}

/** Who makes a change, when, and with which ids. */
export interface ChangeContext {
  actorId: string;
  now: Date;
  /** The same ids in the same order when the change is decided again after a conflict. */
  newId(): string;
}

/** One movement to be: differences and what is known about them. */
export interface Move {
  kind: MovementKind;
  onHand?: number;
  reserved?: number;
  reason?: string | null;
  reference?: string | null;
  reservationId?: string | null;
  transferId?: string | null;
  reversesId?: string;
}

/** Units of a SKU of a reservation that are committed or released. */
export interface WantedPart {
  sku: string;
  skuKey: string;
  quantity: number;
}

/** One line that someone wants to reserve. Without a location, ours is chosen by priority. */
export interface WantedLine {
  sku: string;
  skuKey: string;
  quantity: number;
  locationId?: string | undefined;
}

/** Settings of a level that people choose. */
export type LevelSettings = Pick<LevelDocument, "safetyThreshold" | "backorder" | "backorderLimit">;

export const DEFAULT_SETTINGS: LevelSettings = {
  safetyThreshold: null,
  backorder: "deny",
  backorderLimit: null,
};

/** How low `available` of a level may be taken. */
export const floorOf = ({
  backorder,
  backorderLimit,
}: Pick<LevelSettings, "backorder" | "backorderLimit">): number =>
  backorder === "deny" ? 0 : -(backorderLimit ?? MAX_LEVEL);

export const isLow = ({ available, safetyThreshold }: Pick<LevelDocument, "available" | "safetyThreshold">) =>
  safetyThreshold !== null && available <= safetyThreshold;

export const insufficientStock = (
  sku: string,
  locationId: string | null,
  requested: number,
  available: number,
): AppError =>
  new AppError(
    "insufficient_stock",
    `Only ${Math.max(0, available)} of ${sku} ${available === 1 ? "is" : "are"} available${locationId === null ? "" : " at this location"}; ${requested} ${requested === 1 ? "was" : "were"} requested.`,
    { members: { sku, locationId, requested, available: Math.max(0, available) } },
  );

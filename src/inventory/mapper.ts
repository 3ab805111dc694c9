import type {
  LevelResponse,
  LocationResponse,
  MovementResponse,
  ReservationResponse,
  ShopperReservationResponse,
} from "./answers";
import type {
  LevelDocument,
  LocationDocument,
  MovementDocument,
  ReservationDocument,
  ReservationLine,
} from "./model";

export const toLocation = (location: LocationDocument): LocationResponse => ({
  id: location._id,
  code: location.code,
  name: location.name,
  priority: location.priority,
  active: location.active,
  version: location.version,
  createdAt: location.createdAt.toISOString(),
  updatedAt: location.updatedAt.toISOString(),
});

export const toLevel = (level: LevelDocument): LevelResponse => ({
  id: level._id,
  sku: level.sku,
  locationId: level.locationId,
  onHand: level.onHand,
  reserved: level.reserved,
  available: level.available,
  safetyThreshold: level.safetyThreshold,
  low: level.low,
  backorder: level.backorder,
  backorderLimit: level.backorderLimit,
  sequence: level.sequence,
  version: level.version,
  createdAt: level.createdAt.toISOString(),
  updatedAt: level.updatedAt.toISOString(),
});

const quantities = ({ onHand, reserved }: { onHand: number; reserved: number }) => ({ onHand, reserved });

export const toMovement = (movement: MovementDocument): MovementResponse => ({
  id: movement._id,
  levelId: movement.levelId,
  sequence: movement.sequence,
  sku: movement.sku,
  locationId: movement.locationId,
  kind: movement.kind,
  change: quantities(movement),
  before: quantities(movement.before),
  after: quantities(movement.after),
  reason: movement.reason,
  reference: movement.reference,
  reservationId: movement.reservationId,
  transferId: movement.transferId,
  reverses: movement.reversesId ?? null,
  actorId: movement.actorId,
  createdAt: movement.createdAt.toISOString(),
});

/** How many units of a line have left and gone back; of a reservation that ended before parts were counted, by its end. */
function endedOf({ status }: ReservationDocument, { quantity, allocations }: ReservationLine) {
  const sum = (of: "committed" | "released") =>
    allocations.reduce((total, part) => total + (part[of] ?? 0), 0);
  const [committed, released] = [sum("committed"), sum("released")];
  if (status === "active" || committed + released > 0) return { committed, released };
  return status === "committed" ? { committed: quantity, released: 0 } : { committed: 0, released: quantity };
}

export const toReservation = (reservation: ReservationDocument): ReservationResponse => ({
  id: reservation._id,
  status: reservation.status,
  lines: reservation.lines.map((line) => ({
    sku: line.sku,
    quantity: line.quantity,
    ...endedOf(reservation, line),
    allocations: line.allocations.map((part) => ({ locationId: part.locationId, quantity: part.quantity })),
  })),
  reference: reservation.reference,
  actorId: reservation.actorId,
  expiresAt: reservation.expiresAt.toISOString(),
  createdAt: reservation.createdAt.toISOString(),
  endedAt: reservation.endedAt?.toISOString() ?? null,
});

/** A reservation as its shopper sees it: not where its units lie. */
export function toShopperReservation(reservation: ReservationDocument): ShopperReservationResponse {
  const { id, status, lines, expiresAt, createdAt, endedAt } = toReservation(reservation);
  return {
    ...{ id, status, expiresAt, createdAt, endedAt },
    lines: lines.map(({ allocations: _, ...line }) => line),
  };
}

/** The rules of reservations, decided on a ledger. */
import { AppError } from "../lib/errors";
import type { StockLedger } from "./ledger";
import type { LevelDocument, ReservationDocument, ReservationLine } from "./model";
import { floorOf, insufficientStock, type WantedLine } from "./stock";

interface Part {
  level: LevelDocument;
  quantity: number;
}

/** Where the units of one line come from. @throws AppError insufficient_stock, conflict, invalid_input */
function allocate(ledger: StockLedger, line: WantedLine): Part[] {
  const chosen =
    line.locationId === undefined
      ? ledger.locations.filter(({ active }) => active)
      : [ledger.locationOf(line.locationId)];
  if (chosen.some(({ active }) => !active)) {
    throw new AppError("conflict", "The location is not active: nothing is reserved from it.");
  }
  const candidates = chosen.flatMap(({ _id }) => ledger.levelAt(line.skuKey, _id) ?? []);
  const whole = candidates.find(({ available }) => available >= line.quantity);
  if (whole) return [{ level: whole, quantity: line.quantity }];

  const parts: Part[] = [];
  let rest = line.quantity;
  for (const level of candidates) {
    const quantity = Math.min(rest, Math.max(0, level.available));
    if (quantity > 0) parts.push({ level, quantity });
    rest -= quantity;
  }
  // What is nowhere is promised by the first location that may promise it.
  for (const level of candidates) {
    if (rest === 0) break;
    const quantity = Math.min(rest, Math.max(0, Math.min(0, level.available) - floorOf(level)));
    const part = parts.find((other) => other.level === level);
    if (part) part.quantity += quantity;
    else if (quantity > 0) parts.push({ level, quantity });
    rest -= quantity;
  }
  if (rest > 0)
    throw insufficientStock(line.sku, line.locationId ?? null, line.quantity, line.quantity - rest);
  return parts;
}

/**
 * Holds every line or none.
 * @throws AppError insufficient_stock for the first line that is short, conflict, invalid_input
 */
export function hold(
  ledger: StockLedger,
  wanted: WantedLine[],
  until: Date,
  reference: string | null,
): ReservationDocument {
  const { actorId, now, newId } = ledger.context;
  const id = newId();
  const lines = new Map<WantedLine, ReservationLine>();
  // Lines that name their location go first, so that one that does not cannot take their units.
  for (const line of wanted.toSorted(
    (a, b) => Number(a.locationId === undefined) - Number(b.locationId === undefined),
  )) {
    const allocations = allocate(ledger, line).map(({ level, quantity }) => {
      ledger.move(level, { kind: "reserve", reserved: quantity, reference, reservationId: id });
      return { levelId: level._id, locationId: level.locationId, quantity };
    });
    lines.set(line, { sku: line.sku, skuKey: line.skuKey, quantity: line.quantity, allocations });
  }
  return ledger.putReservation({
    _id: id,
    status: "active",
    lines: wanted.flatMap((line) => lines.get(line) ?? []),
    reference,
    actorId,
    expiresAt: until,
    createdAt: now,
    updatedAt: now,
    endedAt: null,
  });
}

/** A reservation names SKUs that were not read with it: they were renamed meanwhile, so it is to be looked at again. */
export class SkuRenamed extends Error {
  override readonly name = "SkuRenamed";
}

const timeIsUp = () =>
  new AppError("conflict", "The reservation's time is up.", { members: { reservationStatus: "expired" } });

/** A reservation that has not ended. @throws AppError not_found, conflict */
function activeOf(ledger: StockLedger, id: string): ReservationDocument {
  const found = ledger.reservation(id);
  if (found.status === "active") return found;
  throw new AppError("conflict", `The reservation is ${found.status} already.`, {
    members: { reservationStatus: found.status },
  });
}

/**
 * Ends a reservation, once. Its time counts on the clock of whoever asks: before it the reservation can be
 * committed and not expired, from then on the other way round.
 * @throws AppError not_found, conflict when it has ended or its time is up (or, for `expired`, is not)
 */
export function end(
  ledger: StockLedger,
  id: string,
  status: "committed" | "released" | "expired",
): ReservationDocument {
  const { now } = ledger.context;
  const found = activeOf(ledger, id);
  const due = found.expiresAt <= now;
  if (status === "committed" && due) throw timeIsUp();
  if (status === "expired" && !due) throw new AppError("conflict", "The reservation's time is not up.");
  for (const { skuKey, allocations } of found.lines) {
    for (const { locationId, quantity } of allocations) {
      const level = ledger.levelAt(skuKey, locationId);
      if (!level) throw new SkuRenamed(`reservation ${id} names a level that was not read`);
      const details = { reference: found.reference, reservationId: id, reserved: -quantity };
      if (status === "committed") ledger.move(level, { ...details, kind: "sell", onHand: -quantity });
      else ledger.move(level, { ...details, kind: status === "released" ? "release" : "expire" });
    }
  }
  return ledger.putReservation({ ...found, status, endedAt: now, updatedAt: now });
}

/** Gives a reservation that is alive more time. @throws AppError not_found, conflict */
export function renew(ledger: StockLedger, id: string, until: Date): ReservationDocument {
  const { now } = ledger.context;
  const found = activeOf(ledger, id);
  if (found.expiresAt <= now) throw timeIsUp();
  return ledger.putReservation({ ...found, expiresAt: until, updatedAt: now });
}

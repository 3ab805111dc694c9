/** The rules of reservations, decided on a ledger. */
import { AppError, invalidInput } from "../lib/errors";
import type { StockLedger } from "./ledger";
import type { Allocation, LevelDocument, ReservationDocument, ReservationLine } from "./model";
import { floorOf, insufficientStock, type WantedLine, type WantedPart } from "./stock";

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
  shopper: Pick<ReservationDocument, "shopperId" | "shopperSource"> = {},
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
    ...shopper,
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

/** Units of an allocation that are still held. */
export const heldOf = ({ quantity, committed = 0, released = 0 }: Allocation): number =>
  quantity - committed - released;

/** How many units of each allocation end, in the order of the lines. @throws AppError invalid_input, conflict */
function partsOf({ lines }: ReservationDocument, wanted: WantedPart[] | undefined): Map<Allocation, number> {
  const parts = new Map<Allocation, number>();
  if (wanted === undefined) {
    for (const allocation of lines.flatMap(({ allocations }) => allocations)) {
      if (heldOf(allocation) > 0) parts.set(allocation, heldOf(allocation));
    }
    return parts;
  }
  for (const [index, { sku, skuKey, quantity }] of wanted.entries()) {
    const own = lines.filter((line) => line.skuKey === skuKey);
    if (own.length === 0) throw invalidInput(`lines.${index}.sku`, "not_found", "is not in the reservation");
    let rest = quantity;
    for (const allocation of own.flatMap(({ allocations }) => allocations)) {
      const taken = parts.get(allocation) ?? 0;
      const units = Math.min(rest, heldOf(allocation) - taken);
      if (units > 0) parts.set(allocation, taken + units);
      rest -= units;
    }
    if (rest > 0) {
      const held = quantity - rest;
      throw new AppError(
        "conflict",
        `The reservation holds only ${held} more of ${sku}; ${quantity} were named.`,
        {
          members: { sku, available: held },
        },
      );
    }
  }
  return parts;
}

/**
 * Ends a reservation, or units of it; what is left is still held, and when nothing is left it has ended as the last
 * units did. Its time counts on the clock of whoever asks: before it the reservation can be committed and not expired,
 * from then on the other way round.
 * @param wanted the units; all that it holds when left out
 * @throws AppError not_found, conflict when it has ended, its time is up (or, for `expired`, is not), or it holds less;
 * invalid_input for a SKU that is not in it
 */
export function end(
  ledger: StockLedger,
  id: string,
  status: "committed" | "released" | "expired",
  wanted?: WantedPart[],
): ReservationDocument {
  const { now } = ledger.context;
  const found = activeOf(ledger, id);
  const due = found.expiresAt <= now;
  if (status === "committed" && due) throw timeIsUp();
  if (status === "expired" && !due) throw new AppError("conflict", "The reservation's time is not up.");
  const parts = partsOf(found, wanted);
  const kind = ({ committed: "sell", released: "release", expired: "expire" } as const)[status];
  const lines = found.lines.map((line) => ({
    ...line,
    allocations: line.allocations.map((allocation): Allocation => {
      const quantity = parts.get(allocation) ?? 0;
      if (quantity === 0) return allocation;
      const level = ledger.levelAt(line.skuKey, allocation.locationId);
      if (!level) throw new SkuRenamed(`reservation ${id} names a level that was not read`);
      ledger.move(level, {
        kind,
        reserved: -quantity,
        onHand: status === "committed" ? -quantity : 0,
        reference: found.reference,
        reservationId: id,
      });
      const { committed = 0, released = 0 } = allocation;
      return status === "committed"
        ? { ...allocation, committed: committed + quantity, released }
        : { ...allocation, committed, released: released + quantity };
    }),
  }));
  const isOver = lines.every(({ allocations }) =>
    allocations.every((allocation) => heldOf(allocation) === 0),
  );
  const ending = isOver ? { status, endedAt: now } : {};
  return ledger.putReservation({ ...found, lines, ...ending, updatedAt: now });
}

/** Gives a reservation that is alive more time. @throws AppError not_found, conflict */
export function renew(ledger: StockLedger, id: string, until: Date): ReservationDocument {
  const { now } = ledger.context;
  const found = activeOf(ledger, id);
  if (found.expiresAt <= now) throw timeIsUp();
  return ledger.putReservation({ ...found, expiresAt: until, updatedAt: now });
}

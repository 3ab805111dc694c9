import { HOUR } from "../lib/clock";
import { AppError, invalidInput } from "../lib/errors";
import type {
  LevelDocument,
  LocationDocument,
  MovementDocument,
  MovementKind,
  ReservationDocument,
  ReservationLine,
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
export const floorOf = ({ backorder, backorderLimit }: LevelSettings): number =>
  backorder === "deny" ? 0 : -(backorderLimit ?? MAX_LEVEL);

const isLow = ({ available, safetyThreshold }: Pick<LevelDocument, "available" | "safetyThreshold">) =>
  safetyThreshold !== null && available <= safetyThreshold;

export const insufficientStock = (
  sku: string,
  locationId: string | null,
  requested: number,
  available: number,
): AppError =>
  new AppError(
    "insufficient_stock",
    `Of ${sku} ${Math.max(0, available)} can be had${locationId === null ? "" : " at this location"}, ${requested} were asked for.`,
    { members: { sku, locationId, requested, available: Math.max(0, available) } },
  );

const keyOf = (skuKey: string, locationId: string) => `${skuKey}\n${locationId}`;

/**
 * The rules of stock, without a database: changes are decided one after the other on what was read, and the
 * sum of them is what has to be written. A change that is refused leaves no trace.
 */
export function createStockLedger(read: StockRead) {
  const levelsRead = new Map(read.levels.map((level) => [keyOf(level.skuKey, level.locationId), level]));
  const reservationsRead = new Map(read.reservations.map((reservation) => [reservation._id, reservation]));
  const locations = read.locations.toSorted((a, b) => a.priority - b.priority || (a._id < b._id ? -1 : 1));
  let levels = new Map(levelsRead);
  let reservations = new Map(reservationsRead);
  let movements: MovementDocument[] = [];
  let context: ChangeContext | undefined;

  const current = (): ChangeContext => {
    if (!context) throw new Error("a change of stock is decided within attempt");
    return context;
  };

  const levelAt = (skuKey: string, locationId: string) => levels.get(keyOf(skuKey, locationId));

  /** @throws AppError invalid_input for a location that is not there */
  const locationOf = (locationId: string, path = "locationId"): LocationDocument => {
    const location = locations.find(({ _id }) => _id === locationId);
    if (!location) throw invalidInput(path, "not_found", "there is no such location");
    return location;
  };

  const put = (level: LevelDocument): LevelDocument => {
    const changed = { ...level, low: isLow(level), updatedAt: current().now };
    levels.set(keyOf(level.skuKey, level.locationId), changed);
    return changed;
  };

  /** Makes the level of a SKU at a location, with nothing in it. */
  const createLevel = (
    { sku, skuKey }: { sku: string; skuKey: string },
    locationId: string,
    settings: LevelSettings = DEFAULT_SETTINGS,
  ): LevelDocument => {
    locationOf(locationId);
    if (levelAt(skuKey, locationId)) {
      throw new AppError("already_exists", "This SKU has a level at this location.");
    }
    const { now, newId } = current();
    return put({
      _id: newId(),
      sku,
      skuKey,
      locationId,
      onHand: 0,
      reserved: 0,
      available: 0,
      sequence: 0,
      ...settings,
      low: false,
      lowNoticeAt: null,
      version: 1,
      createdAt: now,
      updatedAt: now,
    });
  };

  /** Changes a level's quantities and writes the movement that says so: the only way to change them. */
  const move = (level: LevelDocument, change: Move): { level: LevelDocument; movement: MovementDocument } => {
    const { actorId, now, newId } = current();
    const { onHand = 0, reserved = 0 } = change;
    const before = { onHand: level.onHand, reserved: level.reserved };
    const next = { onHand: level.onHand + onHand, reserved: level.reserved + reserved };
    if (Math.abs(next.onHand) > MAX_LEVEL || next.reserved > MAX_LEVEL) {
      throw invalidInput("quantity", "too_large", `a level holds at most ${MAX_LEVEL} units`);
    }
    if (next.reserved < 0) throw new Error(`level ${level._id} would have less than nothing reserved`);
    const movement: MovementDocument = {
      _id: newId(),
      levelId: level._id,
      sequence: level.sequence + 1,
      sku: level.sku,
      skuKey: level.skuKey,
      locationId: level.locationId,
      kind: change.kind,
      onHand,
      reserved,
      before,
      after: next,
      reason: change.reason ?? null,
      reference: change.reference ?? null,
      reservationId: change.reservationId ?? null,
      transferId: change.transferId ?? null,
      actorId,
      createdAt: now,
    };
    movements.push(movement);
    return {
      movement,
      level: put({
        ...level,
        ...next,
        available: next.onHand - next.reserved,
        sequence: movement.sequence,
      }),
    };
  };

  /**
   * Takes units out, or puts them in. Out: only what is there and not reserved, so never below zero, whatever
   * the backorder policy: that is about promises, and these units leave now.
   */
  const shift = (level: LevelDocument, change: Move & { onHand: number }) => {
    if (change.onHand < 0 && Math.min(level.onHand, level.available) + change.onHand < 0) {
      throw insufficientStock(
        level.sku,
        level.locationId,
        -change.onHand,
        Math.min(level.onHand, level.available),
      );
    }
    return move(level, change);
  };

  /** Where the units of one line come from. */
  const allocate = (line: WantedLine): { level: LevelDocument; quantity: number }[] => {
    const chosen =
      line.locationId === undefined
        ? locations.filter(({ active }) => active)
        : [locationOf(line.locationId)];
    if (chosen.some(({ active }) => !active)) {
      throw new AppError("conflict", "The location is not active: nothing is reserved from it.");
    }
    const candidates = chosen.flatMap(({ _id }) => levelAt(line.skuKey, _id) ?? []);
    const whole = candidates.find(({ available }) => available >= line.quantity);
    if (whole) return [{ level: whole, quantity: line.quantity }];

    const parts: { level: LevelDocument; quantity: number }[] = [];
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
  };

  const reservation = (id: string): ReservationDocument => {
    const found = reservations.get(id);
    if (!found) throw new AppError("not_found", "There is no such reservation.");
    return found;
  };

  const ended = ({ status }: ReservationDocument) =>
    new AppError("conflict", `The reservation is ${status} already.`, {
      members: { reservationStatus: status },
    });

  return {
    locations,
    locationOf,
    levelAt,
    createLevel,
    shift,

    /** The level of a SKU at a location, made when it is missing. */
    ensureLevel: (sku: { sku: string; skuKey: string }, locationId: string): LevelDocument =>
      levelAt(sku.skuKey, locationId) ?? createLevel(sku, locationId),

    /** Changes what people choose about a level. */
    configure: (level: LevelDocument, settings: LevelSettings): LevelDocument =>
      put({ ...level, ...settings, version: level.version + 1 }),

    /**
     * Writes an entry that brings a level and its history together again. History itself stays as it is.
     * @param correction what the level is to be, what the sum of its movements lacks to get there, the number
     *   of the new entry, and how many entries before it were found missing
     */
    correct(
      level: LevelDocument,
      correction: {
        target: { onHand: number; reserved: number };
        lacking: { onHand: number; reserved: number };
        sequence: number;
        missing: number;
        reason: string;
      },
    ): MovementDocument {
      const { actorId, now, newId } = current();
      const { target, lacking, sequence, missing, reason } = correction;
      const movement: MovementDocument = {
        _id: newId(),
        levelId: level._id,
        sequence,
        sku: level.sku,
        skuKey: level.skuKey,
        locationId: level.locationId,
        kind: "adjust",
        ...lacking,
        before: { onHand: level.onHand, reserved: level.reserved },
        after: target,
        reason,
        reference: null,
        reservationId: null,
        transferId: null,
        actorId,
        missing,
        createdAt: now,
      };
      movements.push(movement);
      put({ ...level, ...target, available: target.onHand - target.reserved, sequence });
      return movement;
    },

    /**
     * Holds every line or none.
     * @throws AppError insufficient_stock for the first line that is short
     */
    reserve(wanted: WantedLine[], until: Date, reference: string | null): ReservationDocument {
      const { actorId, now, newId } = current();
      const id = newId();
      const lines = new Map<WantedLine, ReservationLine>();
      // Lines that name their location go first, so that one that does not cannot take their units.
      for (const line of wanted.toSorted(
        (a, b) => Number(a.locationId === undefined) - Number(b.locationId === undefined),
      )) {
        const allocations = allocate(line).map(({ level, quantity }) => {
          move(level, { kind: "reserve", reserved: quantity, reference, reservationId: id });
          return { levelId: level._id, locationId: level.locationId, quantity };
        });
        lines.set(line, { sku: line.sku, skuKey: line.skuKey, quantity: line.quantity, allocations });
      }
      const made: ReservationDocument = {
        _id: id,
        status: "active",
        lines: wanted.flatMap((line) => lines.get(line) ?? []),
        reference,
        actorId,
        expiresAt: until,
        createdAt: now,
        updatedAt: now,
        endedAt: null,
      };
      reservations.set(id, made);
      return made;
    },

    /**
     * Ends a reservation, once. Its time counts on the clock of whoever asks: before it the reservation can be
     * committed and not expired, from then on the other way round.
     * @throws AppError not_found, conflict when it has ended or its time is up (or, for `expired`, is not)
     */
    end(id: string, status: "committed" | "released" | "expired"): ReservationDocument {
      const { now } = current();
      const found = reservation(id);
      if (found.status !== "active") throw ended(found);
      const due = found.expiresAt <= now;
      if (status === "committed" && due) {
        throw new AppError("conflict", "The reservation's time is up.", {
          members: { reservationStatus: "expired" },
        });
      }
      if (status === "expired" && !due) throw new AppError("conflict", "The reservation's time is not up.");
      for (const { skuKey, allocations } of found.lines) {
        for (const { locationId, quantity } of allocations) {
          const level = levelAt(skuKey, locationId);
          if (!level) throw new Error(`reservation ${id} names a level that is not there`);
          const details = { reference: found.reference, reservationId: id, reserved: -quantity };
          if (status === "committed") move(level, { ...details, kind: "sell", onHand: -quantity });
          else move(level, { ...details, kind: status === "released" ? "release" : "expire" });
        }
      }
      const changed = { ...found, status, endedAt: now, updatedAt: now };
      reservations.set(id, changed);
      return changed;
    },

    /** Gives a reservation that is alive more time. @throws AppError not_found, conflict */
    renew(id: string, until: Date): ReservationDocument {
      const { now } = current();
      const found = reservation(id);
      if (found.status !== "active") throw ended(found);
      if (found.expiresAt <= now) {
        throw new AppError("conflict", "The reservation's time is up.", {
          members: { reservationStatus: "expired" },
        });
      }
      const changed = { ...found, expiresAt: until, updatedAt: now };
      reservations.set(id, changed);
      return changed;
    },

    /** Decides one change. When it throws, nothing of it stays. */
    attempt<T>(made: ChangeContext, decide: () => T): T {
      const saved = { levels: new Map(levels), reservations: new Map(reservations), count: movements.length };
      context = made;
      try {
        return decide();
      } catch (error) {
        ({ levels, reservations } = saved);
        movements = movements.slice(0, saved.count);
        throw error;
      } finally {
        context = undefined;
      }
    },

    /** The sum of what was decided. */
    changes(): StockChanges {
      const changes: StockChanges = {
        createdLevels: [],
        changedLevels: [],
        movements: [...movements],
        createdReservations: [],
        changedReservations: [],
        crossed: [],
        lowNotices: [],
      };
      const crossed = new Set<string>();
      for (const [key, level] of levels) {
        const from = levelsRead.get(key);
        if (level === from) continue;
        let to = level;
        if ((from?.available ?? 0) > 0 !== to.available > 0) crossed.add(to.skuKey);
        if (from && to.low && !from.low && (to.lowNoticeAt === null || to.lowNoticeAt <= to.updatedAt)) {
          const quietUntil = to.lowNoticeAt === null ? 0 : to.lowNoticeAt.getTime() + LOW_NOTICE_EVERY;
          const at = new Date(Math.max(quietUntil, to.updatedAt.getTime()));
          to = { ...to, lowNoticeAt: at };
          changes.lowNotices.push({ levelId: to._id, at });
        }
        if (from) changes.changedLevels.push({ from, to });
        else changes.createdLevels.push(to);
      }
      for (const [id, to] of reservations) {
        const from = reservationsRead.get(id);
        if (from === undefined) changes.createdReservations.push(to);
        else if (to !== from) changes.changedReservations.push({ from, to });
      }
      changes.crossed = [...crossed];
      return changes;
    },
  };
}

export type StockLedger = ReturnType<typeof createStockLedger>;

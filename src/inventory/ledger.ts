import { AppError, invalidInput } from "../lib/errors";
import { mustExist } from "./found";
import type { LevelDocument, LocationDocument, MovementDocument, ReservationDocument } from "./model";
import {
  type ChangeContext,
  DEFAULT_SETTINGS,
  insufficientStock,
  isLow,
  type LevelSettings,
  LOW_NOTICE_EVERY,
  MAX_LEVEL,
  type Move,
  type StockChanges,
  type StockRead,
} from "./stock";

const keyOf = (skuKey: string, locationId: string) => `${skuKey}\n${locationId}`;

/** What `correct` is told. */
export interface Correction {
  /** What the level is to be. */
  target: { onHand: number; reserved: number };
  /** What the sum of its movements lacks to get there. */
  lacking: { onHand: number; reserved: number };
  /** Number of the new entry. */
  sequence: number;
  /** How many entries before it were found missing. */
  missing: number;
  reason: string;
}

/**
 * The rules of stock, without a database: changes are decided one after the other on what was read, and the
 * sum of them is what has to be written. A change that is refused leaves no trace.
 */
export class StockLedger {
  readonly #levelsRead: Map<string, LevelDocument>;
  readonly #reservationsRead: Map<string, ReservationDocument>;
  #levels: Map<string, LevelDocument>;
  #reservations: Map<string, ReservationDocument>;
  #movements: MovementDocument[] = [];
  #context: ChangeContext | undefined;
  /** Every location, the first to be taken from first. */
  readonly locations: LocationDocument[];

  constructor(read: StockRead) {
    this.#levelsRead = new Map(read.levels.map((level) => [keyOf(level.skuKey, level.locationId), level]));
    this.#reservationsRead = new Map(read.reservations.map((reservation) => [reservation._id, reservation]));
    this.#levels = new Map(this.#levelsRead);
    this.#reservations = new Map(this.#reservationsRead);
    this.locations = read.locations.toSorted((a, b) => a.priority - b.priority || (a._id < b._id ? -1 : 1));
  }

  /** Who makes the change that is being decided, and when. */
  get context(): ChangeContext {
    if (!this.#context) throw new Error("a change of stock is decided within attempt");
    return this.#context;
  }

  levelAt(skuKey: string, locationId: string): LevelDocument | undefined {
    return this.#levels.get(keyOf(skuKey, locationId));
  }

  /** @throws AppError invalid_input when there is no such location */
  locationOf(locationId: string, path = "locationId"): LocationDocument {
    const location = this.locations.find(({ _id }) => _id === locationId);
    if (!location) throw invalidInput(path, "not_found", "there is no such location");
    return location;
  }

  /** @throws AppError not_found */
  reservation(id: string): ReservationDocument {
    return mustExist(this.#reservations.get(id) ?? null, "reservation");
  }

  putReservation(reservation: ReservationDocument): ReservationDocument {
    this.#reservations.set(reservation._id, reservation);
    return reservation;
  }

  #put(level: LevelDocument): LevelDocument {
    const changed = { ...level, low: isLow(level), updatedAt: this.context.now };
    this.#levels.set(keyOf(level.skuKey, level.locationId), changed);
    return changed;
  }

  /** Makes the level of a SKU at a location, with nothing in it. @throws AppError already_exists, invalid_input */
  createLevel(
    { sku, skuKey }: { sku: string; skuKey: string },
    locationId: string,
    settings: LevelSettings = DEFAULT_SETTINGS,
  ): LevelDocument {
    this.locationOf(locationId);
    if (this.levelAt(skuKey, locationId)) {
      throw new AppError("already_exists", "This SKU has a level at this location.");
    }
    const { now, newId } = this.context;
    return this.#put({
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
  }

  /** The level of a SKU at a location, made when it is missing. */
  ensureLevel(sku: { sku: string; skuKey: string }, locationId: string): LevelDocument {
    return this.levelAt(sku.skuKey, locationId) ?? this.createLevel(sku, locationId);
  }

  #movement(
    level: LevelDocument,
    sequence: number,
    change: Move & Pick<MovementDocument, "onHand" | "reserved" | "after" | "missing">,
  ): MovementDocument {
    const { actorId, now, newId } = this.context;
    const movement: MovementDocument = {
      _id: newId(),
      levelId: level._id,
      sequence,
      sku: level.sku,
      skuKey: level.skuKey,
      locationId: level.locationId,
      reason: null,
      reference: null,
      reservationId: null,
      transferId: null,
      before: { onHand: level.onHand, reserved: level.reserved },
      ...change,
      actorId,
      createdAt: now,
    };
    this.#movements.push(movement);
    return movement;
  }

  /** Changes a level's quantities and writes the movement that says so: the only way to change them. */
  move(level: LevelDocument, change: Move): { level: LevelDocument; movement: MovementDocument } {
    const { onHand = 0, reserved = 0 } = change;
    const after = { onHand: level.onHand + onHand, reserved: level.reserved + reserved };
    if (Math.abs(after.onHand) > MAX_LEVEL || after.reserved > MAX_LEVEL) {
      throw invalidInput("quantity", "too_large", `a level holds at most ${MAX_LEVEL} units`);
    }
    if (after.reserved < 0) throw new Error(`level ${level._id} would have less than nothing reserved`);
    const movement = this.#movement(level, level.sequence + 1, { ...change, onHand, reserved, after });
    const available = after.onHand - after.reserved;
    return { movement, level: this.#put({ ...level, ...after, available, sequence: movement.sequence }) };
  }

  /**
   * Takes units out, or puts them in. Out: only what is there and not reserved, so never below zero, whatever
   * the backorder policy: that is about promises, and these units leave now.
   * @throws AppError insufficient_stock
   */
  shift(level: LevelDocument, change: Move & { onHand: number }) {
    const free = Math.min(level.onHand, level.available);
    if (change.onHand < 0 && free + change.onHand < 0) {
      throw insufficientStock(level.sku, level.locationId, -change.onHand, free);
    }
    return this.move(level, change);
  }

  /** Changes what people choose about a level. */
  configure(level: LevelDocument, settings: LevelSettings): LevelDocument {
    return this.#put({ ...level, ...settings, version: level.version + 1 });
  }

  /** Writes an entry that brings a level and its history together again. History itself stays as it is. */
  correct(level: LevelDocument, correction: Correction): MovementDocument {
    const { target, lacking, sequence, missing, reason } = correction;
    const change = { kind: "adjust" as const, ...lacking, after: target, reason, missing };
    const movement = this.#movement(level, sequence, change);
    this.#put({ ...level, ...target, available: target.onHand - target.reserved, sequence });
    return movement;
  }

  /** Decides one change. When it throws, nothing of it stays. */
  attempt<T>(context: ChangeContext, decide: () => T): T {
    const [levels, reservations] = [new Map(this.#levels), new Map(this.#reservations)];
    const count = this.#movements.length;
    this.#context = context;
    try {
      return decide();
    } catch (error) {
      this.#levels = levels;
      this.#reservations = reservations;
      this.#movements = this.#movements.slice(0, count);
      throw error;
    } finally {
      this.#context = undefined;
    }
  }

  /** The sum of what was decided. */
  changes(): StockChanges {
    const changes: StockChanges = {
      createdLevels: [],
      changedLevels: [],
      movements: [...this.#movements],
      createdReservations: [],
      changedReservations: [],
      crossed: [],
      lowNotices: [],
    };
    const crossed = new Set<string>();
    for (const [key, level] of this.#levels) {
      const from = this.#levelsRead.get(key);
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
    for (const [id, to] of this.#reservations) {
      const from = this.#reservationsRead.get(id);
      if (from === undefined) changes.createdReservations.push(to);
      else if (to !== from) changes.changedReservations.push({ from, to });
    }
    changes.crossed = [...crossed];
    return changes;
  }
}

import { duplicateKey, type Mongo, type MongoTx } from "../db/mongo";
import { AppError } from "../lib/errors";
import type { ExpectedVersions } from "../lib/versions";
import type { StockChanges, StockRead } from "./ledger";
import {
  type LevelDocument,
  type LocationDocument,
  levelModel,
  locationModel,
  type MovementDocument,
  movementModel,
  type ReservationDocument,
  type ReservationStatus,
  reservationModel,
  type StockSignalDocument,
  signalModel,
} from "./model";

/** What a level's movements add up to. */
export interface MovementSum {
  count: number;
  /** Entries that correcting entries account for. */
  missing: number;
  onHand: number;
  reserved: number;
  lastSequence: number;
}

/** SKUs from one canonical key to another, both included: neighbours in an index, unlike a list of them. */
export interface SkuRange {
  from: string;
  to: string;
}

/** Another transaction wrote between our read and our write, and the engine did not say so itself. */
export class StaleStock extends Error {
  override readonly name = "StaleStock";
}

const LEVEL_ORDER = (a: LevelDocument, b: LevelDocument) =>
  a.skuKey < b.skuKey || (a.skuKey === b.skuKey && a.locationId < b.locationId) ? -1 : 1;

/** Stock in MongoDB. */
export const createInventoryStore = (mongo: Mongo) => {
  const Location = locationModel(mongo.connection);
  const Level = levelModel(mongo.connection);
  const Movement = movementModel(mongo.connection);
  const Reservation = reservationModel(mongo.connection);
  const Signal = signalModel(mongo.connection);

  /** A filter on ids before a position, for lists with the newest first. */
  const older = (before: string | undefined) => (before === undefined ? {} : { _id: { $lt: before } });

  return {
    /** Everything that changes of these SKUs and reservations are decided on. */
    async read(
      wanted: { skuKeys: string[]; reservationIds: string[]; locations: boolean },
      tx: MongoTx,
    ): Promise<StockRead> {
      // One after the other: statements of one transaction do not run side by side.
      const levels =
        wanted.skuKeys.length === 0
          ? []
          : await Level.find({ skuKey: { $in: wanted.skuKeys } }, null, mongo.in(tx)).lean();
      const reservations =
        wanted.reservationIds.length === 0
          ? []
          : await Reservation.find({ _id: { $in: wanted.reservationIds } }, null, mongo.in(tx)).lean();
      const locations = wanted.locations ? await Location.find({}, null, mongo.in(tx)).lean() : [];
      return { levels, reservations, locations };
    },

    /**
     * Keeps every other transaction from writing the levels of a SKU: whoever decides on much that takes a while
     * to read does this first, or faster ones would always be before him. A write that changes nothing would not.
     */
    async holdLevels(skuKey: string, tx: MongoTx): Promise<void> {
      await Level.updateMany({ skuKey }, [{ $set: { updatedAt: { $add: ["$updatedAt", 1] } } }], {
        ...mongo.in(tx),
        updatePipeline: true,
      });
    },

    /**
     * Writes changes: levels first, since they are what others write too, in one order of SKU and location.
     * The only place that writes a level's quantities or a movement.
     * @throws StaleStock, or the engine's own conflict, when another one was faster
     */
    async apply(changes: StockChanges, signals: StockSignalDocument[], tx: MongoTx): Promise<void> {
      const session = mongo.in(tx);
      const changed = changes.changedLevels.toSorted((a, b) => LEVEL_ORDER(a.from, b.from));
      if (changed.length > 0) {
        const { matchedCount } = await Level.bulkWrite(
          changed.map(({ from, to }) => ({
            updateOne: {
              filter: { _id: from._id, sequence: from.sequence, version: from.version },
              update: {
                $set: {
                  onHand: to.onHand,
                  reserved: to.reserved,
                  available: to.available,
                  sequence: to.sequence,
                  safetyThreshold: to.safetyThreshold,
                  backorder: to.backorder,
                  backorderLimit: to.backorderLimit,
                  low: to.low,
                  lowNoticeAt: to.lowNoticeAt,
                  version: to.version,
                  updatedAt: to.updatedAt,
                },
              },
            },
          })),
          session,
        );
        if (matchedCount !== changed.length) throw new StaleStock();
      }
      if (changes.changedReservations.length > 0) {
        const { matchedCount } = await Reservation.bulkWrite(
          changes.changedReservations
            .toSorted((a, b) => (a.from._id < b.from._id ? -1 : 1))
            .map(({ from, to }) => ({
              updateOne: {
                filter: { _id: from._id, status: "active" as const, expiresAt: from.expiresAt },
                update: {
                  $set: {
                    status: to.status,
                    expiresAt: to.expiresAt,
                    endedAt: to.endedAt,
                    updatedAt: to.updatedAt,
                  },
                },
              },
            })),
          session,
        );
        if (matchedCount !== changes.changedReservations.length) throw new StaleStock();
      }
      if (changes.createdLevels.length > 0) {
        const perLocation = Map.groupBy(changes.createdLevels, ({ locationId }) => locationId);
        const { matchedCount } = await Location.bulkWrite(
          [...perLocation].toSorted().map(([_id, { length }]) => ({
            updateOne: { filter: { _id }, update: { $inc: { levelCount: length } } },
          })),
          session,
        );
        if (matchedCount !== perLocation.size) throw new StaleStock();
        await Level.insertMany(changes.createdLevels, session);
      }
      // Lean: what the ledger decided has its types, and there may be thousands.
      if (changes.movements.length > 0)
        await Movement.insertMany(changes.movements, { ...session, lean: true });
      if (changes.createdReservations.length > 0)
        await Reservation.insertMany(changes.createdReservations, { ...session, lean: true });
      if (signals.length > 0) await Signal.insertMany(signals, session);
    },

    /**
     * True when these changes are there: an earlier try of the same transaction was committed. False also when
     * they hold nothing that a repetition would do twice.
     */
    async isWritten(
      { movements, createdLevels, changedLevels }: StockChanges,
      tx: MongoTx,
    ): Promise<boolean> {
      const session = mongo.in(tx).session ?? null;
      // One document tells of all: a transaction is written as a whole. Ids are made once for each change.
      const [movement] = movements;
      if (movement) return (await Movement.exists({ _id: movement._id }).session(session)) !== null;
      const [created] = createdLevels;
      if (created) return (await Level.exists({ _id: created._id }).session(session)) !== null;
      const [changed] = changedLevels;
      if (!changed) return false;
      // Settings have no entry of their own: who wrote the same ones in the same version did the same.
      const { _id, version, safetyThreshold, backorder, backorderLimit } = changed.to;
      const same = { _id, version, safetyThreshold, backorder, backorderLimit };
      return (await Level.exists(same).session(session)) !== null;
    },

    // Locations

    listLocations: (): Promise<LocationDocument[]> => Location.find().sort({ priority: 1, _id: 1 }).lean(),

    countLocations: (tx?: MongoTx): Promise<number> => Location.countDocuments({}, mongo.in(tx)),

    findLocation: (id: string): Promise<LocationDocument | null> => Location.findById(id).lean(),

    findLocationByCode: (codeKey: string): Promise<LocationDocument | null> =>
      Location.findOne({ codeKey }).lean(),

    /** @throws AppError already_exists when the code is taken */
    async createLocation(location: LocationDocument, tx?: MongoTx): Promise<void> {
      try {
        await Location.create([location], mongo.in(tx));
      } catch (error) {
        throw codeTaken(error) ?? error;
      }
    },

    /** Changes a location that (still) has the version. @returns it as it is now, or null when it has another */
    async updateLocation(
      id: string,
      expected: ExpectedVersions,
      set: Partial<Pick<LocationDocument, "code" | "codeKey" | "name" | "priority" | "active">> & {
        updatedAt: Date;
      },
      tx?: MongoTx,
    ): Promise<LocationDocument | null> {
      try {
        return await Location.findOneAndUpdate(
          { _id: id, ...(expected === undefined ? {} : { version: { $in: expected } }) },
          { $set: set, $inc: { version: 1 } },
          { ...mongo.in(tx), returnDocument: "after", runValidators: true, lean: true },
        );
      } catch (error) {
        throw codeTaken(error) ?? error;
      }
    },

    /** Deletes a location of this version that no level names. @returns false when there is none such */
    async deleteLocation(id: string, expected: ExpectedVersions): Promise<boolean> {
      const filter = {
        _id: id,
        levelCount: 0,
        ...(expected === undefined ? {} : { version: { $in: expected } }),
      };
      return (await Location.deleteOne(filter)).deletedCount === 1;
    },

    // Levels

    findLevel: (id: string): Promise<LevelDocument | null> => Level.findById(id).lean(),

    findLevelAt: (skuKey: string, locationId: string): Promise<LevelDocument | null> =>
      Level.findOne({ skuKey, locationId }).lean(),

    /** A page of levels by SKU and location: of one SKU, of one location, low ones, or all; `limit` + 1 at most. */
    async listLevels(filter: {
      skuKey?: string;
      locationId?: string;
      low?: boolean;
      after?: { skuKey: string; locationId: string };
      limit: number;
    }): Promise<LevelDocument[]> {
      const { skuKey, locationId, low, after, limit } = filter;
      const chosen = {
        ...(skuKey === undefined ? {} : { skuKey }),
        ...(locationId === undefined ? {} : { locationId }),
        ...(low === true ? { low } : {}),
      };
      const page = (from: Record<string, unknown>, count: number): Promise<LevelDocument[]> =>
        Level.find({ $and: [chosen, from] })
          // At one location a SKU is there once.
          .sort(locationId === undefined ? { skuKey: 1, locationId: 1 } : { skuKey: 1 })
          .limit(count)
          .lean();
      if (after === undefined) return page({}, limit + 1);
      // Two plain ranges instead of one $or, which planners walk through as a whole.
      const rest =
        locationId === undefined
          ? await page({ skuKey: after.skuKey, locationId: { $gt: after.locationId } }, limit + 1)
          : [];
      const count = limit + 1 - rest.length;
      return count === 0 ? rest : [...rest, ...(await page({ skuKey: { $gt: after.skuKey } }, count))];
    },

    /** Every level of these SKUs. */
    levelsOf: (skuKeys: string[]): Promise<LevelDocument[]> =>
      Level.find({ skuKey: { $in: skuKeys } })
        .sort({ skuKey: 1, locationId: 1 })
        .lean(),

    /** True when one of the SKUs has a level. */
    hasLevels: async (skuKeys: string[], tx?: MongoTx): Promise<boolean> =>
      (await Level.exists({ skuKey: { $in: skuKeys } }).session(mongo.in(tx).session ?? null)) !== null,

    /** Those of the SKUs that can be had somewhere now. */
    async skusInStock(skuKeys: string[]): Promise<Set<string>> {
      const active = await Location.find({ active: true }).select({ _id: 1 }).lean();
      const found = await Level.find({
        skuKey: { $in: skuKeys },
        locationId: { $in: active.map(({ _id }) => _id) },
        available: { $gt: 0 },
      })
        .select({ skuKey: 1 })
        .lean();
      return new Set(found.map(({ skuKey }) => skuKey));
    },

    /** How many of each of the SKUs can be had at active locations together; those without any are left out. */
    async availableOf(skuKeys: string[]): Promise<Map<string, number>> {
      const active = await Location.find({ active: true }).select({ _id: 1 }).lean();
      const sums = await Level.aggregate<{ _id: string; available: number }>([
        {
          $match: {
            skuKey: { $in: skuKeys },
            locationId: { $in: active.map(({ _id }) => _id) },
            available: { $gt: 0 },
          },
        },
        { $group: { _id: "$skuKey", available: { $sum: "$available" } } },
      ]);
      return new Map(sums.map(({ _id, available }) => [_id, available]));
    },

    // Movements

    /** A page of movements, the newest first; `limit` + 1 at most. */
    listMovements(filter: {
      skuKey?: string;
      levelId?: string;
      reservationId?: string;
      before?: { id: string; sequence: number };
      limit: number;
    }): Promise<MovementDocument[]> {
      const { skuKey, levelId, reservationId, before, limit } = filter;
      return Movement.find({
        ...(skuKey === undefined ? {} : { skuKey }),
        ...(levelId === undefined ? {} : { levelId }),
        ...(reservationId === undefined ? {} : { reservationId }),
        ...(levelId === undefined
          ? older(before?.id)
          : before === undefined
            ? {}
            : { sequence: { $lt: before.sequence } }),
      })
        .sort(levelId === undefined ? { _id: -1 } : { sequence: -1 })
        .limit(limit + 1)
        .lean();
    },

    /** What the movements of SKUs add up to, by level. */
    async sumMovements({ from, to }: SkuRange, tx?: MongoTx): Promise<Map<string, MovementSum>> {
      const sums = await Movement.aggregate<MovementSum & { _id: string }>(
        [
          { $match: { skuKey: { $gte: from, $lte: to } } },
          {
            $group: {
              _id: "$levelId",
              count: { $sum: 1 },
              missing: { $sum: "$missing" },
              onHand: { $sum: "$onHand" },
              reserved: { $sum: "$reserved" },
              lastSequence: { $max: "$sequence" },
            },
          },
        ],
        mongo.in(tx),
      );
      return new Map(sums.map(({ _id, ...sum }) => [_id, sum]));
    },

    /** What living reservations hold of SKUs, by level. */
    async heldOf({ from, to }: SkuRange, tx?: MongoTx): Promise<Map<string, number>> {
      const held = await Reservation.aggregate<{ _id: string; quantity: number }>(
        [
          { $match: { status: "active", lines: { $elemMatch: { skuKey: { $gte: from, $lte: to } } } } },
          { $unwind: "$lines" },
          { $match: { "lines.skuKey": { $gte: from, $lte: to } } },
          { $unwind: "$lines.allocations" },
          {
            $group: { _id: "$lines.allocations.levelId", quantity: { $sum: "$lines.allocations.quantity" } },
          },
        ],
        mongo.in(tx),
      );
      return new Map(held.map(({ _id, quantity }) => [_id, quantity]));
    },

    /** The last movement of a level. */
    lastMovement: (levelId: string, tx?: MongoTx): Promise<MovementDocument | null> =>
      Movement.findOne({ levelId }, null, mongo.in(tx)).sort({ sequence: -1 }).lean(),

    // Reservations

    findReservation: (id: string): Promise<ReservationDocument | null> => Reservation.findById(id).lean(),

    /** A page of reservations, the newest first; `limit` + 1 at most. */
    listReservations: (filter: {
      status: ReservationStatus;
      before?: string;
      limit: number;
    }): Promise<ReservationDocument[]> =>
      Reservation.find({ status: filter.status, ...older(filter.before) })
        .sort({ _id: -1 })
        .limit(filter.limit + 1)
        .lean(),

    /** Reservations whose time is up, the longest first. */
    dueReservations: (now: Date, limit: number): Promise<ReservationDocument[]> =>
      Reservation.find({ status: "active", expiresAt: { $lte: now } })
        .sort({ expiresAt: 1 })
        .limit(limit)
        .lean(),

    // Signals: products whose `inStock` has to be looked at

    addSignals: async (signals: StockSignalDocument[], tx?: MongoTx): Promise<void> => {
      if (signals.length > 0) await Signal.insertMany(signals, mongo.in(tx));
    },

    signals: (limit: number): Promise<StockSignalDocument[]> =>
      Signal.find().sort({ _id: 1 }).limit(limit).lean(),

    removeSignals: async (ids: string[]): Promise<void> => {
      await Signal.deleteMany({ _id: { $in: ids } });
    },
  };
};

const codeTaken = (error: unknown): AppError | undefined =>
  duplicateKey(error)?.includes("codeKey")
    ? new AppError("already_exists", "A location with this code exists.", { cause: error })
    : undefined;

export type InventoryStore = ReturnType<typeof createInventoryStore>;

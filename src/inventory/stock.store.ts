import type { Mongo, MongoTx } from "../db/mongo";
import {
  type LevelDocument,
  levelModel,
  locationModel,
  movementModel,
  type ReservationDocument,
  reservationModel,
  type StockSignalDocument,
  shopperKeys,
  shopperModel,
  signalModel,
} from "./model";
import type { StockChanges, StockRead } from "./stock";

/** Another transaction wrote between our read and our write, and the engine did not say so itself. */
export class StaleStock extends Error {
  override readonly name = "StaleStock";
}

const LEVEL_ORDER = (a: LevelDocument, b: LevelDocument) =>
  a.skuKey < b.skuKey || (a.skuKey === b.skuKey && a.locationId < b.locationId) ? -1 : 1;

/** Reads what a change of stock is decided on, and writes what was decided. */
export const createStockWriter = (mongo: Mongo) => {
  const Location = locationModel(mongo.connection);
  const Level = levelModel(mongo.connection);
  const Movement = movementModel(mongo.connection);
  const Reservation = reservationModel(mongo.connection);
  const Shopper = shopperModel(mongo.connection);
  const Signal = signalModel(mongo.connection);

  const changeLevels = async (changed: StockChanges["changedLevels"], tx: MongoTx): Promise<void> => {
    if (changed.length === 0) return;
    const { matchedCount } = await Level.bulkWrite(
      changed
        .toSorted((a, b) => LEVEL_ORDER(a.from, b.from))
        .map(({ from, to }) => ({
          updateOne: {
            filter: {
              _id: from._id,
              // Names the shard, where there are several.
              skuKey: from.skuKey,
              locationId: from.locationId,
              sequence: from.sequence,
              version: from.version,
            },
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
      mongo.in(tx),
    );
    if (matchedCount !== changed.length) throw new StaleStock();
  };

  /** Has the lists of its shopper name a reservation, and last as long as it. Its maker has guarded them: they are there. */
  const listForShopper = async (reservation: ReservationDocument, tx: MongoTx): Promise<void> => {
    const keys = shopperKeys(reservation);
    if (keys.length === 0) return;
    const { _id, expiresAt } = reservation;
    const update = { $addToSet: { reservationIds: _id }, $max: { expiresAt } };
    await Shopper.updateMany({ _id: { $in: keys } }, update, mongo.in(tx));
  };

  const changeReservations = async (
    changed: StockChanges["changedReservations"],
    tx: MongoTx,
  ): Promise<void> => {
    if (changed.length === 0) return;
    const { matchedCount } = await Reservation.bulkWrite(
      changed
        .toSorted((a, b) => (a.from._id < b.from._id ? -1 : 1))
        .map(({ from, to }) => ({
          updateOne: {
            filter: {
              _id: from._id,
              status: "active" as const,
              revision: from.revision ?? { $exists: false },
            },
            update: {
              $set: {
                lines: to.lines,
                revision: (from.revision ?? 0) + 1,
                status: to.status,
                expiresAt: to.expiresAt,
                endedAt: to.endedAt,
                updatedAt: to.updatedAt,
              },
            },
          },
        })),
      mongo.in(tx),
    );
    if (matchedCount !== changed.length) throw new StaleStock();
    for (const { from, to } of changed) {
      if (to.expiresAt > from.expiresAt) await listForShopper(to, tx);
    }
  };

  const createReservations = async (created: ReservationDocument[], tx: MongoTx): Promise<void> => {
    if (created.length === 0) return;
    await Reservation.insertMany(created, { ...mongo.in(tx), lean: true });
    for (const reservation of created) await listForShopper(reservation, tx);
  };

  const createLevels = async (created: LevelDocument[], tx: MongoTx): Promise<void> => {
    if (created.length === 0) return;
    const perLocation = Map.groupBy(created, ({ locationId }) => locationId);
    const { matchedCount } = await Location.bulkWrite(
      [...perLocation].toSorted().map(([_id, { length }]) => ({
        updateOne: { filter: { _id }, update: { $inc: { levelCount: length } } },
      })),
      mongo.in(tx),
    );
    if (matchedCount !== perLocation.size) throw new StaleStock();
    await Level.insertMany(created, mongo.in(tx));
  };

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
      await changeLevels(changes.changedLevels, tx);
      await changeReservations(changes.changedReservations, tx);
      await createLevels(changes.createdLevels, tx);
      const session = mongo.in(tx);
      // Lean: what the ledger decided has its types, and there may be thousands.
      if (changes.movements.length > 0)
        await Movement.insertMany(changes.movements, { ...session, lean: true });
      await createReservations(changes.createdReservations, tx);
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
      if (movement) {
        const { _id, levelId } = movement;
        return (await Movement.exists({ _id, levelId }).session(session)) !== null;
      }
      const [created] = createdLevels;
      if (created) {
        const { _id, skuKey, locationId } = created;
        return (await Level.exists({ _id, skuKey, locationId }).session(session)) !== null;
      }
      const [changed] = changedLevels;
      if (!changed) return false;
      // Settings have no entry of their own: who wrote the same ones in the same version did the same.
      const { _id, skuKey, locationId, version, safetyThreshold, backorder, backorderLimit } = changed.to;
      const same = { _id, skuKey, locationId, version, safetyThreshold, backorder, backorderLimit };
      return (await Level.exists(same).session(session)) !== null;
    },

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

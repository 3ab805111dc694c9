import type { Mongo, MongoTx } from "../db/mongo";
import {
  type ReservationDocument,
  type ReservationStatus,
  reservationModel,
  type ShopperDocument,
  shopperModel,
} from "./model";
import type { SkuRange } from "./movements.store";
import { olderThan } from "./page";

/** Reservations in MongoDB. */
export const createReservationStore = (mongo: Mongo) => {
  const Reservation = reservationModel(mongo.connection);
  const Shopper = shopperModel(mongo.connection);
  return {
    findReservation: (id: string): Promise<ReservationDocument | null> => Reservation.findById(id).lean(),

    /** A page of reservations, the newest first; `limit` + 1 at most. */
    listReservations: (filter: {
      status: ReservationStatus;
      before?: string;
      limit: number;
    }): Promise<ReservationDocument[]> =>
      Reservation.find({ status: filter.status, ...olderThan(filter.before) })
        .sort({ _id: -1 })
        .limit(filter.limit + 1)
        .lean(),

    /** Reservations whose time is up, the longest first. */
    dueReservations: (now: Date, limit: number): Promise<ReservationDocument[]> =>
      Reservation.find({ status: "active", expiresAt: { $lte: now } })
        .sort({ expiresAt: 1 })
        .limit(limit)
        .lean(),

    /**
     * Keeps every other transaction out that gives one of these more: first in each that does.
     * @param keys as `shopperKeys` gives them
     * @returns the reservations that each may still have, in the order of the keys
     * @throws a duplicate key when two are the first ever; the transaction is to be tried again
     */
    async guardShopper(keys: string[], expiresAt: Date, tx: MongoTx): Promise<string[][]> {
      const lists: string[][] = [];
      for (const _id of keys) {
        const update = { $inc: { version: 1 }, $max: { expiresAt } };
        const before = await Shopper.findOneAndUpdate({ _id }, update, {
          ...mongo.in(tx),
          upsert: true,
        }).lean<ShopperDocument>();
        lists.push(before?.reservationIds ?? []);
      }
      return lists;
    },

    /** Takes reservations that have ended off the lists of these. */
    async forgetEnded(keys: string[], ids: string[], tx: MongoTx): Promise<void> {
      const update = { $pull: { reservationIds: { $in: ids } } };
      await Shopper.updateMany({ _id: { $in: keys } }, update, mongo.in(tx));
    },

    /** Of these reservations, those that live, the newest first. */
    livingReservations: (ids: string[], now: Date, tx?: MongoTx): Promise<ReservationDocument[]> =>
      Reservation.find({ _id: { $in: ids }, status: "active", expiresAt: { $gt: now } }, null, mongo.in(tx))
        .sort({ _id: -1 })
        .lean(),

    /** The reservations that one of `shopperKeys` may still have. */
    reservationIdsOf: async (key: string): Promise<string[]> =>
      (await Shopper.findById(key).lean<ShopperDocument>())?.reservationIds ?? [],

    /** What living reservations hold of SKUs, by level. */
    async heldOf({ from, to }: SkuRange, tx?: MongoTx): Promise<Map<string, number>> {
      const held = await Reservation.aggregate<{ _id: string; quantity: number }>(
        [
          { $match: { status: "active", lines: { $elemMatch: { skuKey: { $gte: from, $lte: to } } } } },
          { $unwind: "$lines" },
          { $match: { "lines.skuKey": { $gte: from, $lte: to } } },
          { $unwind: "$lines.allocations" },
          {
            $group: {
              _id: "$lines.allocations.levelId",
              quantity: {
                $sum: {
                  $subtract: [
                    "$lines.allocations.quantity",
                    {
                      $add: [
                        { $ifNull: ["$lines.allocations.committed", 0] },
                        { $ifNull: ["$lines.allocations.released", 0] },
                      ],
                    },
                  ],
                },
              },
            },
          },
        ],
        mongo.in(tx),
      );
      return new Map(held.map(({ _id, quantity }) => [_id, quantity]));
    },
  };
};

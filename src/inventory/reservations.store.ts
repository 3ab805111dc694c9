import type { Mongo, MongoTx } from "../db/mongo";
import {
  type ReservationDocument,
  type ReservationStatus,
  reservationModel,
  shopperGuardModel,
} from "./model";
import type { SkuRange } from "./movements.store";
import { olderThan } from "./page";

/** Reservations in MongoDB. */
export const createReservationStore = (mongo: Mongo) => {
  const Reservation = reservationModel(mongo.connection);
  const Guard = shopperGuardModel(mongo.connection);
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
     * Keeps every other transaction out that counts what these hold: first in each that gives them more.
     * @throws a duplicate key when two are the first ever; the transaction is to be tried again
     */
    async guardShopper(keys: string[], expiresAt: Date, tx: MongoTx): Promise<void> {
      // In one order, so that two do not wait for each other.
      for (const _id of keys.toSorted()) {
        const update = { $inc: { version: 1 }, $set: { expiresAt } };
        await Guard.updateOne({ _id }, update, { ...mongo.in(tx), upsert: true });
      }
    },

    /** What a shopper, or everybody from one network, holds and may still have. */
    shopperReservations: (
      filter: Pick<ReservationDocument, "shopperId"> | Pick<ReservationDocument, "shopperSource">,
      now: Date,
      tx?: MongoTx,
    ): Promise<ReservationDocument[]> =>
      Reservation.find({ ...filter, status: "active", expiresAt: { $gt: now } }, null, mongo.in(tx))
        .sort({ _id: -1 })
        .lean(),

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

import type { Mongo, MongoTx } from "../db/mongo";
import { type MovementDocument, movementModel } from "./model";
import { olderThan } from "./page";

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

/** The ledger of stock in MongoDB. */
export const createMovementStore = (mongo: Mongo) => {
  const Movement = movementModel(mongo.connection);
  const sumsOf = async (which: Record<string, unknown>, tx?: MongoTx): Promise<Map<string, MovementSum>> => {
    const sums = await Movement.aggregate<MovementSum & { _id: string }>(
      [
        { $match: which },
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
  };
  return {
    /** A page of movements, the newest first; `limit` + 1 at most. */
    listMovements(filter: {
      skuKey?: string;
      /** Levels that had other SKUs before, and those SKUs. */
      renamed?: { levelIds: string[]; skuKeys: string[] };
      levelId?: string;
      reservationId?: string;
      before?: { id: string; sequence: number };
      limit: number;
    }): Promise<MovementDocument[]> {
      const { skuKey, renamed, levelId, reservationId, before, limit } = filter;
      return Movement.find({
        ...(skuKey === undefined ? {} : { skuKey }),
        ...(renamed === undefined
          ? {}
          : { skuKey: { $in: renamed.skuKeys }, levelId: { $in: renamed.levelIds } }),
        ...(levelId === undefined ? {} : { levelId }),
        ...(reservationId === undefined ? {} : { reservationId }),
        ...(levelId === undefined
          ? olderThan(before?.id)
          : before === undefined
            ? {}
            : { sequence: { $lt: before.sequence } }),
      })
        .sort(levelId === undefined ? { _id: -1 } : { sequence: -1 })
        .limit(limit + 1)
        .lean();
    },

    /**
     * What the movements of SKUs add up to, by level.
     * @param renamed levels of these SKUs that had others before, under which their older movements are
     */
    async sumMovements(
      { from, to }: SkuRange,
      renamed: string[],
      tx?: MongoTx,
    ): Promise<Map<string, MovementSum>> {
      const sums = await sumsOf({ skuKey: { $gte: from, $lte: to } }, tx);
      if (renamed.length === 0) return sums;
      return new Map([...sums, ...(await sumsOf({ levelId: { $in: renamed } }, tx))]);
    },

    findMovement: (id: string, tx: MongoTx): Promise<MovementDocument | null> =>
      Movement.findById(id, null, mongo.in(tx)).lean(),

    /** How many units of a sale came back. */
    async returnedOf(saleId: string, tx: MongoTx): Promise<number> {
      const returns = await Movement.find({ reversesId: saleId }, { onHand: 1 }, mongo.in(tx)).lean();
      return returns.reduce((sum, { onHand }) => sum + onHand, 0);
    },

    /** The last movement of a level. */
    lastMovement: (levelId: string, tx?: MongoTx): Promise<MovementDocument | null> =>
      Movement.findOne({ levelId }, null, mongo.in(tx)).sort({ sequence: -1 }).lean(),
  };
};

import type { Mongo, MongoTx } from "../db/mongo";
import { AppError } from "../lib/errors";
import { type LevelDocument, levelModel, type ReservationLine, reservationModel } from "./model";

/** A SKU, in canonical form, and what it is to be. */
export interface SkuRename {
  from: string;
  to: { sku: string; skuKey: string };
}

/** Whether a level has no units, owes none, and holds none. */
const isEmpty = ({ onHand, reserved }: LevelDocument): boolean => onHand === 0 && reserved === 0;

/** Stock of SKUs that are spelled otherwise from now on. */
export const createRenameStore = (mongo: Mongo) => {
  const Level = levelModel(mongo.connection);
  const Reservation = reservationModel(mongo.connection);

  const moveLevels = async (
    levels: LevelDocument[],
    targetOf: (level: LevelDocument) => { sku: string; skuKey: string },
    now: Date,
    tx: MongoTx,
  ): Promise<void> => {
    await Level.bulkWrite(
      levels.map((level) => {
        const { sku, skuKey } = targetOf(level);
        const former = new Set([...(level.formerSkuKeys ?? []), level.skuKey]);
        former.delete(skuKey);
        return {
          updateOne: {
            filter: { _id: level._id },
            update: { $set: { sku, skuKey, formerSkuKeys: [...former], updatedAt: now } },
          },
        };
      }),
      mongo.in(tx),
    );
  };

  return {
    /**
     * Gives levels and active reservations of SKUs their new SKUs. Movements are not edited: a level's older ones are
     * found under its former SKUs.
     * @throws AppError conflict when a new SKU has stock of its own
     */
    async renameSkus(renames: SkuRename[], now: Date, tx: MongoTx): Promise<void> {
      const byKey = new Map(renames.map(({ from, to }) => [from, to]));
      const keys = [...byKey.keys()];
      // A write before the first read: sales of these SKUs would else always be faster.
      await Level.updateMany({ skuKey: { $in: keys } }, { $inc: { version: 1 } }, mongo.in(tx));
      const targets = renames.map(({ to }) => to.skuKey).filter((skuKey) => !byKey.has(skuKey));
      const others = await Level.find({ skuKey: { $in: targets } }, null, mongo.in(tx)).lean();
      const other = others.find((level) => !isEmpty(level));
      if (other) {
        throw new AppError(
          "conflict",
          `There is stock under the SKU ${other.sku} that this variant would mix with its own. Choose another SKU, or transfer it first.`,
          { members: { sku: other.sku } },
        );
      }
      // Left by a product that is gone: what was there is in their movements, and nothing is to be kept apart.
      if (others.length > 0)
        await Level.deleteMany({ _id: { $in: others.map(({ _id }) => _id) } }, mongo.in(tx));
      const levels = await Level.find({ skuKey: { $in: keys } }, null, mongo.in(tx)).lean();
      // SKUs that change places step aside first: SKU and location are unique.
      if (renames.some(({ from, to }) => to.skuKey !== from && byKey.has(to.skuKey))) {
        await moveLevels(levels, ({ _id, sku }) => ({ sku, skuKey: `\u0000${_id}` }), now, tx);
      }
      if (levels.length > 0)
        await moveLevels(levels, ({ skuKey }) => byKey.get(skuKey) as SkuRename["to"], now, tx);
      const held = await Reservation.find(
        { status: "active", "lines.skuKey": { $in: keys } },
        { lines: 1 },
        mongo.in(tx),
      ).lean();
      if (held.length === 0) return;
      const renamed = (line: ReservationLine): ReservationLine => ({ ...line, ...byKey.get(line.skuKey) });
      await Reservation.bulkWrite(
        held.map(({ _id, lines }) => ({
          updateOne: {
            filter: { _id },
            update: { $set: { lines: lines.map(renamed) }, $inc: { revision: 1 } },
          },
        })),
        mongo.in(tx),
      );
    },

    /** One of the SKUs that has units somewhere, or owes some; undefined when none has. */
    async skuWithStock(skuKeys: string[], tx: MongoTx): Promise<string | undefined> {
      const level = await Level.findOne(
        { skuKey: { $in: skuKeys }, $or: [{ onHand: { $ne: 0 } }, { reserved: { $ne: 0 } }] },
        { skuKey: 1 },
        mongo.in(tx),
      ).lean();
      return level?.skuKey;
    },
  };
};

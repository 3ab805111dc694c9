import type { Mongo, MongoTx } from "../db/mongo";
import { type LevelDocument, levelModel, locationModel } from "./model";
import { floorOf } from "./stock";

/** SKUs that take longer to look up than whether there is any level. */
const MANY = 100;

/** Stock levels in MongoDB; only `StockWriter` changes them. */
export const createLevelStore = (mongo: Mongo) => {
  const Level = levelModel(mongo.connection);
  const Location = locationModel(mongo.connection);
  const activeLocationIds = async (): Promise<string[]> =>
    (await Location.find({ active: true }, { _id: 1 }).lean()).map(({ _id }) => _id);
  return {
    activeLocationIds,

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
    async hasLevels(skuKeys: string[], tx?: MongoTx): Promise<boolean> {
      const session = mongo.in(tx).session ?? null;
      // A shop without stock, as most are that import, is not asked for each of many SKUs.
      if (skuKeys.length > MANY && (await Level.exists({}).session(session)) === null) return false;
      return (await Level.exists({ skuKey: { $in: skuKeys } }).session(session)) !== null;
    },

    /** Those of the SKUs that can be had somewhere now. */
    async skusInStock(skuKeys: string[]): Promise<Set<string>> {
      const found = await Level.find({
        skuKey: { $in: skuKeys },
        locationId: { $in: await activeLocationIds() },
        available: { $gt: 0 },
      })
        .select({ skuKey: 1 })
        .lean();
      return new Set(found.map(({ skuKey }) => skuKey));
    },

    /**
     * What can be had of each of the SKUs at active locations together, and whether more can be ordered: there is some,
     * or a location may promise more than it has. SKUs without levels are left out.
     */
    async sellableOf(skuKeys: string[]): Promise<Map<string, { available: number; orderable: boolean }>> {
      const levels = await Level.find(
        { skuKey: { $in: skuKeys }, locationId: { $in: await activeLocationIds() } },
        { skuKey: 1, available: 1, backorder: 1, backorderLimit: 1 },
      ).lean();
      const sums = new Map<string, { available: number; orderable: boolean }>();
      for (const level of levels) {
        const sum = sums.get(level.skuKey) ?? { available: 0, orderable: false };
        sums.set(level.skuKey, {
          available: sum.available + Math.max(0, level.available),
          orderable: sum.orderable || level.available > 0 || Math.min(0, level.available) > floorOf(level),
        });
      }
      return sums;
    },
  };
};

import type { Mongo, MongoTx } from "../db/mongo";
import { chunks, collectionOf, type Insertable } from "./batches.store";
import {
  type DirtyDocument,
  dirtyModel,
  type Level,
  type Range,
  type RollupDocument,
  type RollupKind,
  rollupModel,
  STORED_LEVEL,
} from "./model";

/** A bucket to recompute; its token tells whether it was marked again since it was read. */
export type Mark = Pick<DirtyDocument, "_id" | "at" | "token">;

/** Which buckets are recomputed first. */
export type MarkOrder = "oldest" | "newest";

const markId = (level: Level, at: Date): string => `${STORED_LEVEL[level]}:${at.toISOString()}`;

/** Rollups, and the marks of those that are to be recomputed. */
export const createRollupStore = (mongo: Mongo) => {
  const Rollup = rollupModel(mongo.connection);
  const Dirty = dirtyModel(mongo.connection);

  return {
    async mark(level: Level, times: Date[], token: string, tx?: MongoTx): Promise<void> {
      for (const part of chunks(times, 1000)) {
        await Dirty.bulkWrite(
          part.map((at) => ({
            updateOne: {
              filter: { _id: markId(level, at) },
              update: { $set: { level: STORED_LEVEL[level], at, token } },
              upsert: true,
            },
          })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },

    /** Buckets to recompute beyond a time, the oldest first or, from the other end, the newest. */
    marks: (level: Level, beyond: Date | null, limit: number, order: MarkOrder): Promise<Mark[]> =>
      Dirty.find(
        {
          level: STORED_LEVEL[level],
          ...(beyond && { at: order === "oldest" ? { $gt: beyond } : { $lt: beyond } }),
        },
        { at: 1, token: 1 },
      )
        .sort({ at: order === "oldest" ? 1 : -1 })
        .limit(limit)
        .lean(),

    /** Writes who makes a bucket into its mark. @returns the mark as it is now; null when it was taken away */
    claim: ({ _id }: Mark, maker: string): Promise<Mark | null> =>
      Dirty.findOneAndUpdate(
        { _id },
        { $set: { maker } },
        { returnDocument: "after", projection: { at: 1, token: 1 } },
      ).lean<Mark>(),

    /** Takes the maker out of a mark. @returns false when it is another's, or the bucket was made since the claim */
    release: async ({ _id }: Mark, maker: string, tx: MongoTx): Promise<boolean> =>
      (await Dirty.updateOne({ _id, maker }, { $unset: { maker: 1 } }, mongo.in(tx))).matchedCount === 1,

    /** Takes marks away that are as they were read. @returns those that it took: the others are somebody else's */
    async clearMarks(marks: Mark[], tx: MongoTx): Promise<Mark[]> {
      const ids = marks.map(({ _id }) => _id);
      const rows = await Dirty.find({ _id: { $in: ids } }, { token: 1 }, mongo.in(tx)).lean();
      const tokens = new Map(rows.map(({ _id, token }) => [_id, token]));
      const same = marks.filter(({ _id, token }) => tokens.get(_id) === token);
      await Dirty.deleteMany({ _id: { $in: same.map(({ _id }) => _id) } }, mongo.in(tx));
      return same;
    },

    /** Puts the rollups of buckets that begin at `times` in place of what was there. */
    async replace(level: Level, times: Date[], made: RollupDocument[], tx: MongoTx): Promise<void> {
      await Rollup.deleteMany({ level: STORED_LEVEL[level], at: { $in: times } }, mongo.in(tx));
      for (const part of chunks(made, 500)) {
        await collectionOf<RollupDocument>(Rollup).insertMany(part as Insertable<RollupDocument>, {
          ...mongo.in(tx),
          ordered: true,
        });
      }
    },

    /** Rollups of a level that lie in a period, in no order. */
    find: (
      query: { level: Level; kind?: RollupKind; bot?: boolean; range: Range },
      tx?: MongoTx,
    ): Promise<RollupDocument[]> =>
      Rollup.find(
        {
          level: STORED_LEVEL[query.level],
          at: { $gte: query.range.from, $lt: query.range.to },
          ...(query.kind === undefined ? {} : { kind: query.kind }),
          ...(query.bot === undefined ? {} : { bot: query.bot }),
        },
        null,
        mongo.in(tx),
      )
        .batchSize(5000)
        .lean<RollupDocument[]>(),

    /** Begins of the buckets of a level that have rollups from a time on. */
    async times(level: Level, from: Date): Promise<Date[]> {
      const rows = await Rollup.aggregate<{ _id: Date }>([
        { $match: { level: STORED_LEVEL[level], at: { $gte: from } } },
        { $group: { _id: "$at" } },
        { $sort: { _id: 1 } },
      ]);
      return rows.map(({ _id }) => _id);
    },
  };
};

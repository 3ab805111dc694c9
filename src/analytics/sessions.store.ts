import type { Mongo, MongoTx } from "../db/mongo";
import { after, DAY } from "../lib/clock";
import { batchesOf, chunks, collectionOf, inChunks, STREAM, WHOLE, within } from "./batches.store";
import { RETENTION } from "./intake/time";
import { analyticsSessionModel, analyticsStateModel, type Range, type SessionDocument } from "./model";

/** The id of what is remembered of a visitor whose first session is no longer kept, and back. */
const returningId = (visitor: string): string => `returning:${visitor}`;
const visitorReturning = (id: string): string => id.slice(returningId("").length);

/** The index that gives a list its order: without a hint, an engine may take another until it has statistics. */
export const sessionListIndex = (of: { bot: boolean } | { visitor: string }): Record<string, 1 | -1> =>
  "visitor" in of ? { visitor: 1, start: -1, _id: -1 } : { bot: 1, start: -1, _id: -1 };

/** Sessions, and who was here before those that are kept. */
export const createSessionStore = (mongo: Mongo) => {
  const Session = analyticsSessionModel(mongo.connection);
  const State = analyticsStateModel(mongo.connection);

  return {
    /** Begin and end of every session of visitors. */
    of: (visitors: string[], tx?: MongoTx) =>
      Session.find(
        { visitor: { $in: visitors } },
        { visitor: 1, start: 1, end: 1 },
        { ...mongo.in(tx), ...WHOLE },
      ).lean<Pick<SessionDocument, "_id" | "visitor" | "start" | "end">[]>(),

    /** Sessions by their ids, unsorted. */
    byIds: (ids: string[], tx: MongoTx): Promise<SessionDocument[]> =>
      inChunks(ids, (part) =>
        Session.find({ _id: { $in: part } }, null, { ...mongo.in(tx), ...WHOLE }).lean<SessionDocument[]>(),
      ),

    /** Removes a visitor's sessions that are over by a time, and that they came before. @returns their begins */
    async removeOf(visitor: string, until: Date, tx: MongoTx): Promise<Date[]> {
      await State.deleteOne({ _id: returningId(visitor) }, mongo.in(tx));
      // No session ends before it begins, which the index knows.
      const over = { visitor, start: { $lte: until }, end: { $lte: until } };
      const sessions = await Session.find(over, { start: 1 }, mongo.in(tx)).lean();
      for (const part of chunks(sessions.map(({ _id }) => _id))) {
        await Session.deleteMany({ _id: { $in: part } }, mongo.in(tx));
      }
      return sessions.map(({ start }) => start);
    },

    async replace(removed: string[], made: SessionDocument[], tx: MongoTx): Promise<void> {
      for (const part of chunks(removed)) await Session.deleteMany({ _id: { $in: part } }, mongo.in(tx));
      for (const part of chunks(made, 1000)) {
        await collectionOf<SessionDocument>(Session).bulkWrite(
          part.map((session) => ({
            replaceOne: {
              // The visitor names the shard, where there are several: one that is new has no other way there.
              filter: { _id: session._id, visitor: session.visitor },
              replacement: session,
              upsert: true,
            },
          })),
          { ...mongo.in(tx), ordered: false },
        );
      }
    },

    /** Sessions that began in periods, in batches, in no order. */
    started: (ranges: Range[], tx?: MongoTx): AsyncGenerator<SessionDocument[]> =>
      batchesOf(
        collectionOf<SessionDocument>(Session).find<SessionDocument>(within("start", ranges), {
          ...mongo.in(tx),
          ...STREAM,
          projection: { devices: 0, landing: 0 },
        }),
      ),

    /** Sessions of visitors that began in a period with a source that is not direct. */
    withSource: (visitors: string[], { from, to }: Range, tx?: MongoTx) =>
      inChunks(visitors, (part) =>
        Session.find(
          { visitor: { $in: part }, start: { $gte: from, $lt: to }, source: { $ne: "direct" } },
          { visitor: 1, start: 1, source: 1 },
          mongo.in(tx),
        ).lean<Pick<SessionDocument, "_id" | "visitor" | "start" | "source">[]>(),
      ),

    /** When each visitor's first session began of those that are kept, and who was here before those. */
    async firstStarts(
      visitors: string[],
      tx?: MongoTx,
    ): Promise<{ first: Map<string, Date>; returning: string[] }> {
      const first = new Map<string, Date>();
      const before: string[] = [];
      for (const part of chunks(visitors)) {
        const rows = await Session.aggregate<{ _id: string; start: Date }>(
          [
            { $match: { visitor: { $in: part } } },
            { $group: { _id: "$visitor", start: { $min: "$start" } } },
          ],
          mongo.in(tx),
        );
        for (const { _id, start } of rows) first.set(_id, start);
        const ids = part.map(returningId);
        const returning = await State.find({ _id: { $in: ids } }, { _id: 1 }, mongo.in(tx)).lean();
        before.push(...returning.map(({ _id }) => visitorReturning(_id)));
      }
      return { first, returning: before };
    },

    /** A page of sessions, the newest first, one more than `limit`: of people or bots, or of one visitor. */
    list(filter: {
      range: Range;
      of: { bot: boolean } | { visitor: string };
      after: { start: Date; id: string } | null;
      limit: number;
    }): Promise<SessionDocument[]> {
      const { range, after, of } = filter;
      return Session.find({
        ...of,
        start: { $gte: range.from, $lt: range.to },
        ...(after === null
          ? {}
          : { $or: [{ start: { $lt: after.start } }, { start: after.start, _id: { $lt: after.id } }] }),
      })
        .sort({ start: -1, _id: -1 })
        .hint(sessionListIndex(of))
        .limit(filter.limit + 1)
        .lean<SessionDocument[]>();
    },

    find: (id: string): Promise<SessionDocument | null> => Session.findById(id).lean<SessionDocument>(),

    /** Sessions by id from behind one on. */
    after: (afterId: string, limit: number): Promise<Pick<SessionDocument, "_id" | "visitor" | "start">[]> =>
      Session.find({ _id: { $gt: afterId } }, { visitor: 1, start: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /**
     * Removes up to `limit` sessions that were over before a time. That a visitor with later sessions was here
     * before is remembered as long as those are kept, or an old customer would become a new one.
     * @returns how many
     */
    async removeBefore(time: Date, limit: number, tx: MongoTx): Promise<number> {
      const over = { start: { $lt: time }, end: { $lt: time } };
      const rows = await Session.find(over, { visitor: 1 }, mongo.in(tx)).limit(limit).lean();
      if (rows.length === 0) return 0;
      await Session.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } }, mongo.in(tx));
      const visitors = [...new Set(rows.map(({ visitor }) => visitor))];
      const left = await Session.aggregate<{ _id: string; end: Date }>(
        [
          { $match: { visitor: { $in: visitors }, end: { $gte: time } } },
          { $group: { _id: "$visitor", end: { $max: "$end" } } },
        ],
        mongo.in(tx),
      );
      if (left.length === 0) return rows.length;
      await State.bulkWrite(
        left.map(({ _id, end }) => ({
          updateOne: {
            filter: { _id: returningId(_id) },
            // When the last of them is removed, those that came since prolong it.
            update: { $set: { expiresAt: after(end, RETENTION + DAY) } },
            upsert: true,
          },
        })),
        { ...mongo.in(tx), ordered: true },
      );
      return rows.length;
    },
  };
};

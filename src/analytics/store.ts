import type { mongo as driver, Model, QueryFilter } from "mongoose";
import { duplicateKey, type Mongo, type MongoTx } from "../db/mongo";
import { after, DAY } from "../lib/clock";
import { productModel } from "../products/model";
import {
  analyticsSessionModel,
  analyticsStateModel,
  type DirtyDocument,
  dirtyModel,
  type EventDocument,
  eventModel,
  type Level,
  popularityModel,
  type RollupDocument,
  type RollupKind,
  rollupModel,
  type SessionDocument,
} from "./model";
import type { SessionEvent } from "./sessions";
import type { EventKind } from "./spec";
import { RETENTION } from "./time";

/** The fields of an event that its session is made from. */
const SESSION_FIELDS = {
  kind: 1,
  at: 1,
  device: 1,
  userId: 1,
  visitor: 1,
  bot: 1,
  source: 1,
  "page.path": 1,
  revenue: 1,
  currency: 1,
  searchId: 1,
  todo: 1,
} as const;

/** The fields of an event that rollups are made from. */
const ROLLUP_FIELDS = {
  kind: 1,
  at: 1,
  visitor: 1,
  bot: 1,
  products: 1,
  categories: 1,
  searchId: 1,
  query: 1,
  results: 1,
  revenue: 1,
  currency: 1,
} as const;

export type RollupEvent = Pick<
  EventDocument,
  | "_id"
  | "kind"
  | "at"
  | "visitor"
  | "bot"
  | "products"
  | "categories"
  | "searchId"
  | "query"
  | "results"
  | "revenue"
  | "currency"
>;

export type PendingEvent = SessionEvent & Pick<EventDocument, "receivedAt">;

/** A click that a search led to, or an order. */
export type FollowUp = Pick<
  EventDocument,
  "_id" | "kind" | "at" | "visitor" | "bot" | "products" | "searchId" | "position" | "orderId"
>;

const FOLLOW_FIELDS = {
  kind: 1,
  at: 1,
  visitor: 1,
  bot: 1,
  products: 1,
  searchId: 1,
  position: 1,
  orderId: 1,
} as const;

/** A bucket to recompute; its token tells whether it was marked again since it was read. */
export type Mark = Pick<DirtyDocument, "_id" | "at" | "token">;

/** Ids in one `$in`, so that no query grows without bound. */
const CHUNK = 5000;

const chunks = <T>(items: T[], size = CHUNK): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );

/** What `read` gives for all of `items`, a chunk after the other: a transaction does one thing at a time. */
async function inChunks<T, R>(items: T[], read: (part: T[]) => PromiseLike<R[]>): Promise<R[]> {
  const results: R[][] = [];
  for (const part of chunks(items)) results.push(await read(part));
  return results.flat();
}

/** The id of what is remembered of a visitor whose first session is no longer kept, and back. */
const returningId = (visitor: string): string => `returning:${visitor}`;
const visitorReturning = (id: string): string => id.slice(returningId("").length);

const dirtyId = (level: Level, at: Date): string => `${level}:${at.toISOString()}`;

/** The driver's own collection: documents of ours go in as they are, without Mongoose copying each of them. */
const collectionOf = <T extends driver.BSON.Document>(model: Model<T>) =>
  model.collection as unknown as driver.Collection<T>;
type Insertable<T> = driver.OptionalUnlessRequiredId<T>[];

/** Options of what is read in batches; the time is the server's for all of them together, in milliseconds. */
const STREAM = { batchSize: CHUNK, maxTimeMS: 60_000 };

async function* batchesOf<T>(cursor: driver.FindCursor<T>): AsyncGenerator<T[]> {
  try {
    while (await cursor.hasNext()) yield cursor.readBufferedDocuments();
  } finally {
    await cursor.close();
  }
}

/** Removes up to `limit` documents, so that one call stays within its time. @returns how many */
async function removeSome<T>(model: Model<T>, filter: QueryFilter<T>, limit: number): Promise<number> {
  const rows = await model.find(filter, { _id: 1 }).limit(limit).lean<{ _id: string }[]>();
  if (rows.length > 0) await model.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
  return rows.length;
}

/** A part of a time line: from is in it, to is not. */
export interface Range {
  from: Date;
  to: Date;
}

/** Events, sessions and rollups in MongoDB. */
export const createAnalyticsStore = (mongo: Mongo) => {
  const Event = eventModel(mongo.connection);
  const Session = analyticsSessionModel(mongo.connection);
  const Rollup = rollupModel(mongo.connection);
  const Dirty = dirtyModel(mongo.connection);
  const State = analyticsStateModel(mongo.connection);
  const Popularity = popularityModel(mongo.connection);
  const Product = productModel(mongo.connection);

  const existingIds = async (ids: string[]): Promise<Set<string>> => {
    const rows = await Event.find({ _id: { $in: ids } }, { _id: 1 }).lean<{ _id: string }[]>();
    return new Set(rows.map(({ _id }) => _id));
  };

  return {
    /**
     * Stores events whose ids are new. Each event is told as inserted to exactly one of all who send it.
     * In the order of ids, so that writers of the same events wait for each other instead of deadlocking;
     * after a duplicate, what else exists is asked for, because a repeated batch is a duplicate as a whole.
     * @param events with different ids
     * @returns the ids that were inserted by this call
     */
    async insertEvents(events: EventDocument[]): Promise<Set<string>> {
      const inserted = new Set<string>();
      let left = events.toSorted((a, b) => (a._id < b._id ? -1 : 1));
      while (left.length > 0) {
        try {
          await collectionOf(Event).insertMany(left as Insertable<EventDocument>, { ordered: true });
          for (const { _id } of left) inserted.add(_id);
          break;
        } catch (error) {
          if (!duplicateKey(error)) throw error;
          const done = (error as { insertedCount?: number }).insertedCount ?? 0;
          for (const { _id } of left.slice(0, done)) inserted.add(_id);
          left = left.slice(done + 1);
          const present = await existingIds(left.map(({ _id }) => _id));
          left = left.filter(({ _id }) => !present.has(_id));
        }
      }
      return inserted;
    },

    /** The salt of a day, the same for every process: `fresh` unless there is one already. */
    async daySalt(day: string, fresh: Uint8Array, expiresAt: Date): Promise<Uint8Array> {
      const _id = `salt:${day}`;
      try {
        await State.create([{ _id, salt: Buffer.from(fresh), expiresAt }]);
        return fresh;
      } catch (error) {
        if (!duplicateKey(error)) throw error;
      }
      const row = await State.findById(_id).lean();
      // It ended between two calls: nobody will ever see this visitor again, which is what ending means.
      return row?.salt === undefined ? fresh : new Uint8Array(row.salt.buffer);
    },

    /** Those of these devices that did something in a period. */
    async activeDevices(devices: string[], { from, to }: Range): Promise<Set<string>> {
      return new Set(
        await Event.distinct("device", { device: { $in: devices }, at: { $gte: from, $lte: to } }),
      );
    },

    /** One transaction of the sessioniser at a time: the write that makes two of them conflict. */
    async guard(tx: MongoTx): Promise<void> {
      await State.updateOne({ _id: "guard" }, { $inc: { version: 1 } }, { ...mongo.in(tx), upsert: true });
    },

    /** Events that have no session yet, the longest waiting first. */
    pending: (limit: number, tx?: MongoTx): Promise<PendingEvent[]> =>
      Event.find({ todo: 1 }, { ...SESSION_FIELDS, receivedAt: 1 }, mongo.in(tx))
        .sort({ receivedAt: 1 })
        .limit(limit)
        .lean<PendingEvent[]>(),

    /** Events of devices (bots left out) or of visitors in a period, unsorted. */
    async eventsOf(
      field: "device" | "visitor",
      keys: string[],
      { from, to }: Range,
      tx?: MongoTx,
    ): Promise<SessionEvent[]> {
      return Event.find(
        {
          [field]: { $in: keys },
          at: { $gte: from, $lt: to },
          ...(field === "device" ? { bot: false } : {}),
        },
        SESSION_FIELDS,
        mongo.in(tx),
      ).lean<SessionEvent[]>();
    },

    /** Those of these events that belong to somebody else than a visitor, unsorted. */
    eventsOfOthers: (ids: string[], visitor: string, tx?: MongoTx): Promise<SessionEvent[]> =>
      inChunks(ids, (part) =>
        Event.find({ _id: { $in: part }, visitor: { $ne: visitor } }, SESSION_FIELDS, mongo.in(tx)).lean<
          SessionEvent[]
        >(),
      ),

    /** Begin and end of every session of visitors. */
    sessionsOf: (visitors: string[], tx?: MongoTx) =>
      Session.find({ visitor: { $in: visitors } }, { visitor: 1, start: 1, end: 1 }, mongo.in(tx)).lean<
        Pick<SessionDocument, "_id" | "visitor" | "start" | "end">[]
      >(),

    async setVisitor(ids: string[], visitor: string, tx: MongoTx): Promise<void> {
      for (const part of chunks(ids)) {
        await Event.updateMany({ _id: { $in: part } }, { $set: { visitor } }, mongo.in(tx));
      }
    },

    /** Takes events out of the queue. */
    async settle(ids: string[], tx?: MongoTx): Promise<void> {
      for (const part of chunks(ids)) {
        await Event.updateMany({ _id: { $in: part } }, { $unset: { todo: 1 } }, mongo.in(tx));
      }
    },

    /** Removes a visitor's sessions that are over by a time, and that they came before. @returns their begins */
    async removeSessionsOf(visitor: string, until: Date, tx: MongoTx): Promise<Date[]> {
      await State.deleteOne({ _id: returningId(visitor) }, mongo.in(tx));
      // No session ends before it begins, which the index knows.
      const over = { visitor, start: { $lte: until }, end: { $lte: until } };
      const sessions = await Session.find(over, { start: 1 }, mongo.in(tx)).lean();
      for (const part of chunks(sessions.map(({ _id }) => _id))) {
        await Session.deleteMany({ _id: { $in: part } }, mongo.in(tx));
      }
      return sessions.map(({ start }) => start);
    },

    async replaceSessions(removed: string[], made: SessionDocument[], tx: MongoTx): Promise<void> {
      for (const part of chunks(removed)) await Session.deleteMany({ _id: { $in: part } }, mongo.in(tx));
      for (const part of chunks(made, 1000)) {
        await Session.bulkWrite(
          part.map((session) => ({
            replaceOne: { filter: { _id: session._id }, replacement: session, upsert: true },
          })),
          { ...mongo.in(tx), ordered: false },
        );
      }
    },

    /** The events of searches in a period by their search ids, unsorted. */
    searchesWith: (
      searchIds: string[],
      { from, to }: Range,
      tx?: MongoTx,
    ): Promise<Pick<EventDocument, "_id" | "at" | "bot" | "searchId">[]> =>
      inChunks(searchIds, (part) =>
        Event.find(
          { searchId: { $in: part }, at: { $gte: from, $lt: to }, kind: "search" },
          { at: 1, bot: 1, searchId: 1 },
          mongo.in(tx),
        ).lean<Pick<EventDocument, "_id" | "at" | "bot" | "searchId">[]>(),
      ),

    /** What may have followed searches in a period: every event with their ids but the searches themselves. */
    followUps: (searchIds: string[], { from, to }: Range, tx?: MongoTx): Promise<FollowUp[]> =>
      inChunks(searchIds, (part) =>
        Event.find(
          { searchId: { $in: part }, at: { $gte: from, $lt: to }, kind: { $in: ["click", "view", "add"] } },
          FOLLOW_FIELDS,
          mongo.in(tx),
        ).lean<FollowUp[]>(),
      ),

    /** What visitors clicked, viewed or added from searches in a period, unsorted. */
    searchesFollowed: (visitors: string[], { from, to }: Range, tx?: MongoTx) =>
      inChunks(visitors, (part) =>
        Event.find(
          {
            visitor: { $in: part },
            at: { $gte: from, $lt: to },
            kind: { $in: ["click", "view", "add"] },
            searchId: { $ne: null },
          },
          { at: 1, bot: 1, searchId: 1 },
          mongo.in(tx),
        ).lean<Pick<EventDocument, "_id" | "at" | "bot" | "searchId">[]>(),
      ),

    /** Events of kinds of visitors in a period. */
    visitorEvents: (
      visitors: string[],
      kinds: EventKind[],
      { from, to }: Range,
      tx?: MongoTx,
    ): Promise<FollowUp[]> =>
      inChunks(visitors, (part) =>
        Event.find(
          { visitor: { $in: part }, at: { $gte: from, $lt: to }, kind: { $in: kinds } },
          FOLLOW_FIELDS,
          mongo.in(tx),
        ).lean<FollowUp[]>(),
      ),

    async markDirty(level: Level, times: Date[], token: string, tx?: MongoTx): Promise<void> {
      for (const part of chunks(times, 1000)) {
        await Dirty.bulkWrite(
          part.map((at) => ({
            updateOne: {
              filter: { _id: dirtyId(level, at) },
              update: { $set: { level, at, token } },
              upsert: true,
            },
          })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },

    /** Buckets to recompute from behind a time on, the oldest first. */
    dirty: (level: Level, afterTime: Date, limit: number): Promise<Mark[]> =>
      Dirty.find({ level, at: { $gt: afterTime } }, { at: 1, token: 1 })
        .sort({ at: 1 })
        .limit(limit)
        .lean(),

    /** Takes marks away that are as they were read. @returns those that it took: the others are somebody else's */
    async clearDirty(marks: Mark[], tx: MongoTx): Promise<Mark[]> {
      const ids = marks.map(({ _id }) => _id);
      const rows = await Dirty.find({ _id: { $in: ids } }, { token: 1 }, mongo.in(tx)).lean();
      const tokens = new Map(rows.map(({ _id, token }) => [_id, token]));
      const same = marks.filter(({ _id, token }) => tokens.get(_id) === token);
      await Dirty.deleteMany({ _id: { $in: same.map(({ _id }) => _id) } }, mongo.in(tx));
      return same;
    },

    /** How many events a period has, counted up to `limit`. */
    countEvents: ({ from, to }: Range, limit: number): Promise<number> =>
      Event.countDocuments({ at: { $gte: from, $lt: to } }, { limit }),

    /** The events of a period in batches, in no order: those of a busy one need not fit into memory. */
    rollupEvents: ({ from, to }: Range, tx: MongoTx): AsyncGenerator<RollupEvent[]> =>
      batchesOf(
        collectionOf(Event).find<RollupEvent>(
          { at: { $gte: from, $lt: to } },
          { ...mongo.in(tx), ...STREAM, projection: ROLLUP_FIELDS },
        ),
      ),

    /** Sessions that began in a period, in batches, in no order. */
    sessionsStarted: ({ from, to }: Range, tx: MongoTx): AsyncGenerator<SessionDocument[]> =>
      batchesOf(
        collectionOf(Session).find<SessionDocument>(
          { start: { $gte: from, $lt: to } },
          { ...mongo.in(tx), ...STREAM, projection: { devices: 0, landing: 0 } },
        ),
      ),

    /** When each visitor's first session began; not of those whose first is no longer kept. */
    async firstStarts(visitors: string[], tx?: MongoTx): Promise<Map<string, Date>> {
      const first = new Map<string, Date>();
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
        for (const { _id } of returning) first.delete(visitorReturning(_id));
      }
      return first;
    },

    /** Puts the rollups of buckets in place of what was there. */
    async replaceRollups(
      level: Level,
      { from, to }: Range,
      made: RollupDocument[],
      tx: MongoTx,
    ): Promise<void> {
      await Rollup.deleteMany({ level, at: { $gte: from, $lt: to } }, mongo.in(tx));
      for (const part of chunks(made, 500)) {
        await collectionOf(Rollup).insertMany(part as Insertable<RollupDocument>, {
          ...mongo.in(tx),
          ordered: true,
        });
      }
    },

    /** Rollups of a level that lie in a period, in no order. */
    rollups: (
      query: { level: Level; kind?: RollupKind; bot?: boolean; range: Range },
      tx?: MongoTx,
    ): Promise<RollupDocument[]> =>
      Rollup.find(
        {
          level: query.level,
          at: { $gte: query.range.from, $lt: query.range.to },
          ...(query.kind === undefined ? {} : { kind: query.kind }),
          ...(query.bot === undefined ? {} : { bot: query.bot }),
        },
        null,
        mongo.in(tx),
      )
        .batchSize(5000)
        .lean<RollupDocument[]>(),

    /** The first event of a search, a person's before a bot's that came by its link. */
    findSearch: (searchId: string): Promise<EventDocument | null> =>
      Event.findOne({ searchId, kind: "search" }).sort({ bot: 1, at: 1 }).lean<EventDocument>(),

    /** A page of sessions, the newest first, one more than `limit`: of people or bots, or of one visitor. */
    listSessions(filter: {
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
        .limit(filter.limit + 1)
        .lean<SessionDocument[]>();
    },

    findSession: (id: string): Promise<SessionDocument | null> =>
      Session.findById(id).lean<SessionDocument>(),

    /**
     * A page of a visitor's events in a period, the oldest first, one more than `limit`: all of them, or those
     * that name a person or, with null, nobody.
     */
    listEvents(filter: {
      visitor: string;
      userId?: string | null;
      range: Range;
      after: { at: Date; id: string } | null;
      limit: number;
    }): Promise<EventDocument[]> {
      const { range, after } = filter;
      return Event.find({
        visitor: filter.visitor,
        ...(filter.userId === undefined ? {} : { userId: filter.userId }),
        at: { $gte: range.from, $lt: range.to },
        ...(after === null
          ? {}
          : { $or: [{ at: { $gt: after.at } }, { at: after.at, _id: { $gt: after.id } }] }),
      })
        .sort({ at: 1, _id: 1 })
        .limit(filter.limit + 1)
        .lean<EventDocument[]>();
    },

    /** Events by when they were received, for the live view. */
    received: ({ from, to }: Range, limit: number): Promise<EventDocument[]> =>
      Event.find({ receivedAt: { $gte: from, $lt: to } })
        .sort({ receivedAt: -1, _id: -1 })
        .limit(limit)
        .lean<EventDocument[]>(),

    /** How much was received in a period, and from how many, of people and of bots. */
    async activity({ from, to }: Range): Promise<{ bot: boolean; visitors: number; events: number }[]> {
      const rows = await Event.aggregate<{ _id: boolean; visitors: number; events: number }>([
        { $match: { receivedAt: { $gte: from, $lt: to } } },
        { $group: { _id: { bot: "$bot", visitor: "$visitor" }, events: { $sum: 1 } } },
        { $group: { _id: "$_id.bot", visitors: { $sum: 1 }, events: { $sum: "$events" } } },
      ]);
      return rows.map(({ _id, visitors, events }) => ({ bot: _id, visitors, events }));
    },

    /** Devices on which a person was named: those of nobody else, and those of others too. */
    async devicesOfPerson(userId: string): Promise<{ own: string[]; shared: string[] }> {
      const devices: string[] = await Event.distinct("device", { userId, device: { $ne: null } });
      const shared: string[] = await Event.distinct("device", {
        device: { $in: devices },
        userId: { $nin: [userId, null] },
      });
      return { own: devices.filter((device) => !shared.includes(device)), shared };
    },

    /** Events that name a person, in the order of their ids. */
    eventsNaming: (userId: string, afterId: string, limit: number): Promise<EventDocument[]> =>
      Event.find({ userId, _id: { $gt: afterId } })
        .sort({ _id: 1 })
        .limit(limit)
        .lean<EventDocument[]>(),

    /** True when events of a visitor name somebody else than this person. */
    namesOthers: async (visitor: string, userId: string): Promise<boolean> =>
      (await Event.exists({ visitor, userId: { $nin: [userId, null] } })) !== null,

    async removeEvents(ids: string[], tx: MongoTx): Promise<void> {
      for (const part of chunks(ids)) await Event.deleteMany({ _id: { $in: part } }, mongo.in(tx));
    },

    /** Events by id from behind one on: what says whether a bot made them. */
    eventsAfter: (
      afterId: string,
      limit: number,
    ): Promise<Pick<EventDocument, "_id" | "at" | "visitor" | "userAgent" | "bot" | "device" | "userId">[]> =>
      Event.find({ _id: { $gt: afterId } }, { at: 1, visitor: 1, userAgent: 1, bot: 1, device: 1, userId: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /** Makes events wait for the sessioniser again, `judged` ones with another visitor than before. */
    async reopen(
      ids: string[],
      judged: Pick<EventDocument, "_id" | "bot" | "visitor">[] = [],
      tx?: MongoTx,
    ): Promise<void> {
      await Event.updateMany({ _id: { $in: ids } }, { $set: { todo: 1 } }, mongo.in(tx));
      for (const part of chunks(judged, 1000)) {
        await Event.bulkWrite(
          part.map(({ _id, bot, visitor }) => ({
            updateOne: { filter: { _id }, update: { $set: { bot, visitor } } },
          })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },

    /** Sessions by id from behind one on. */
    sessionsAfter: (
      afterId: string,
      limit: number,
    ): Promise<Pick<SessionDocument, "_id" | "visitor" | "start">[]> =>
      Session.find({ _id: { $gt: afterId } }, { visitor: 1, start: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /** Who did something at these times. By the times alone: few events share one, and many visitors have many. */
    eventsAt: (times: Date[]): Promise<Pick<EventDocument, "visitor" | "at">[]> =>
      Event.find({ at: { $in: times } }, { visitor: 1, at: 1 }).lean(),

    /** Begins of the buckets of a level that have rollups from a time on. */
    async rollupTimes(level: Level, from: Date): Promise<Date[]> {
      const rows = await Rollup.aggregate<{ _id: Date }>([
        { $match: { level, at: { $gte: from } } },
        { $group: { _id: "$at" } },
        { $sort: { _id: 1 } },
      ]);
      return rows.map(({ _id }) => _id);
    },
    removeEventsBefore: (time: Date, limit: number) => removeSome(Event, { at: { $lt: time } }, limit),

    /**
     * Removes up to `limit` sessions that were over before a time. That a visitor with later sessions was here
     * before is remembered as long as those are kept, or an old customer would become a new one.
     * @returns how many
     */
    async removeSessionsBefore(time: Date, limit: number, tx: MongoTx): Promise<number> {
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
    removeExpiredState: (now: Date) => State.deleteMany({ expiresAt: { $lte: now } }),

    /** Names of products, for reports. */
    async productNames(ids: string[]): Promise<Map<string, string>> {
      const rows = await Product.find({ _id: { $in: ids } }, { name: 1 }).lean<
        { _id: string; name: string }[]
      >();
      return new Map(rows.map(({ _id, name }) => [_id, name]));
    },

    /** Products that behaviour has raised, and what it wrote. */
    popularities: (ids: string[], tx: MongoTx) =>
      Popularity.find({ _id: { $in: ids } }, null, mongo.in(tx)).lean(),

    popularIds: async (): Promise<string[]> =>
      (await Popularity.find({}, { _id: 1 }).lean<{ _id: string }[]>()).map(({ _id }) => _id),

    productPopularity: (ids: string[], tx: MongoTx) =>
      Product.find({ _id: { $in: ids }, deletedAt: null }, { popularity: 1 }, mongo.in(tx)).lean<
        { _id: string; popularity: number }[]
      >(),

    /** Writes popularity to products (it is no edit: version and time of change stay) and remembers it. */
    async writePopularity(
      changes: { id: string; base: number; popularity: number; before: number }[],
      tx: MongoTx,
    ): Promise<void> {
      if (changes.length === 0) return;
      await Product.bulkWrite(
        changes.map(({ id, popularity }) => ({
          updateOne: { filter: { _id: id }, update: { $set: { popularity } } },
        })),
        { ...mongo.in(tx), ordered: true },
      );
      await Popularity.bulkWrite(
        changes.map(({ id, base, popularity, before }) => ({
          updateOne: {
            filter: { _id: id },
            update: { $set: { base, written: popularity, before } },
            upsert: true,
          },
        })),
        { ...mongo.in(tx), ordered: true },
      );
    },
  };
};

export type AnalyticsStore = ReturnType<typeof createAnalyticsStore>;

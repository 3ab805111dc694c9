import { duplicateKey, type Mongo, type MongoTx } from "../db/mongo";
import {
  batchesOf,
  chunks,
  collectionOf,
  type Insertable,
  inChunks,
  removeSome,
  STREAM,
  within,
} from "./batches.store";
import { type EventDocument, eventModel, type NewEvent, type Range } from "./model";

/** The fields of an event that rollups are made from. */
const ROLLUP_FIELDS = {
  kind: 1,
  origin: 1,
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
  order: 1,
} as const;

export type RollupEvent = Pick<EventDocument, "_id" | keyof typeof ROLLUP_FIELDS>;

/** The indexes that give lists their order: without a hint, an engine may take others until it has statistics. */
export const EVENT_LIST_INDEX = { visitor: 1, at: 1, sequence: 1, _id: 1 } as const;
export const RECEIVED_INDEX = { receivedAt: 1, _id: 1 } as const;

/** The place of an event in a list; 0 for an event of earlier versions, which has no sequence. */
export interface Place {
  at: Date;
  sequence: number;
  id: string;
}

/** Events of the same time that come behind a place; those without a sequence come first. */
const behind = ({ sequence, id }: Place) =>
  sequence === 0
    ? { $or: [{ sequence: { $exists: false }, _id: { $gt: id } }, { sequence: { $gt: 0 } }] }
    : { $or: [{ sequence, _id: { $gt: id } }, { sequence: { $gt: sequence } }] };

/** Events as they were sent. */
export const createEventStore = (mongo: Mongo) => {
  const Event = eventModel(mongo.connection);

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
    async insert(events: NewEvent[]): Promise<Set<string>> {
      const inserted = new Set<string>();
      let left: EventDocument[] = events
        .map((event) => ({ ...event, todo: 1 as const }))
        .sort((a, b) => (a._id < b._id ? -1 : 1));
      while (left.length > 0) {
        try {
          await collectionOf<EventDocument>(Event).insertMany(left as Insertable<EventDocument>, {
            ordered: true,
          });
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

    /** Those of these devices that did something in a period. */
    async activeDevices(devices: string[], { from, to }: Range): Promise<Set<string>> {
      return new Set(
        await Event.distinct("device", { device: { $in: devices }, at: { $gte: from, $lte: to } }),
      );
    },

    /**
     * A page of a visitor's events in a period, the oldest first, one more than `limit`: all of them, or those
     * that name a person or, with null, nobody.
     */
    list(filter: {
      visitor: string;
      userId?: string | null;
      range: Range;
      after: Place | null;
      limit: number;
    }): Promise<EventDocument[]> {
      const { range, after } = filter;
      return Event.find({
        visitor: filter.visitor,
        ...(filter.userId === undefined ? {} : { userId: filter.userId }),
        at: { $gte: range.from, $lt: range.to },
        ...(after === null ? {} : { $or: [{ at: { $gt: after.at } }, { at: after.at, ...behind(after) }] }),
      })
        .sort({ at: 1, sequence: 1, _id: 1 })
        .hint(EVENT_LIST_INDEX)
        .limit(filter.limit + 1)
        .lean<EventDocument[]>();
    },

    /** A page of everything that happened on a device, whoever did it, in the order of ids. */
    ofDevice: (device: string, afterId: string, limit: number): Promise<EventDocument[]> =>
      Event.find({ device, _id: { $gt: afterId } })
        .sort({ _id: 1 })
        .limit(limit)
        .lean<EventDocument[]>(),

    /** Events by when they were received, for the live view. */
    received: ({ from, to }: Range, limit: number): Promise<EventDocument[]> =>
      Event.find({ receivedAt: { $gte: from, $lt: to } })
        .sort({ receivedAt: -1, _id: -1 })
        .hint(RECEIVED_INDEX)
        .limit(limit)
        .lean<EventDocument[]>(),

    /** How much happened in a period, and from how many, of people and of bots. */
    async activity({ from, to }: Range): Promise<{ bot: boolean; visitors: number; events: number }[]> {
      const rows = await Event.aggregate<{ _id: boolean; visitors: number; events: number }>([
        { $match: { at: { $gte: from, $lt: to } } },
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

    /** Of devices on which persons were named, not by bots: the first and the last of their ids. */
    namedOn: (devices: string[], tx: MongoTx): Promise<{ device: string; first: string; last: string }[]> =>
      inChunks(devices, (part) =>
        Event.aggregate<{ device: string; first: string; last: string }>(
          [
            { $match: { device: { $in: part }, bot: false, userId: { $ne: null } } },
            { $group: { _id: "$device", first: { $min: "$userId" }, last: { $max: "$userId" } } },
            { $project: { _id: 0, device: "$_id", first: 1, last: 1 } },
          ],
          mongo.in(tx),
        ),
      ),

    /** Events that name a person, in the order of their ids. */
    naming: (userId: string, afterId: string, limit: number): Promise<EventDocument[]> =>
      Event.find({ userId, _id: { $gt: afterId } })
        .sort({ _id: 1 })
        .limit(limit)
        .lean<EventDocument[]>(),

    /** True when events of a visitor name somebody else than this person. */
    namesOthers: async (visitor: string, userId: string): Promise<boolean> =>
      (await Event.exists({ visitor, userId: { $nin: [userId, null] } })) !== null,

    /** How many events periods have, counted up to `limit`. */
    count: (ranges: Range[], limit: number): Promise<number> =>
      Event.countDocuments(within("at", ranges), { limit }),

    /** The events of periods in batches, in no order: those of a busy one need not fit into memory. */
    inBatches: (ranges: Range[], tx?: MongoTx): AsyncGenerator<RollupEvent[]> =>
      batchesOf(
        collectionOf<EventDocument>(Event).find<RollupEvent>(within("at", ranges), {
          ...mongo.in(tx),
          ...STREAM,
          projection: ROLLUP_FIELDS,
        }),
      ),

    async remove(ids: string[], tx: MongoTx): Promise<void> {
      for (const part of chunks(ids)) await Event.deleteMany({ _id: { $in: part } }, mongo.in(tx));
    },

    removeBefore: (time: Date, limit: number) =>
      removeSome<EventDocument>(Event, { at: { $lt: time } }, limit),
  };
};

import type { Mongo, MongoTx } from "../db/mongo";
import { chunks, inChunks, WHOLE } from "./batches.store";
import { RECEIVED_INDEX } from "./events.store";
import { analyticsStateModel, type EventDocument, eventModel, type Range } from "./model";

/** The fields of an event that its session is made from. */
const SESSION_FIELDS = {
  kind: 1,
  at: 1,
  sequence: 1,
  device: 1,
  userId: 1,
  visitor: 1,
  bot: 1,
  background: 1,
  passive: 1,
  source: 1,
  "page.path": 1,
  revenue: 1,
  currency: 1,
  searchId: 1,
  orderId: 1,
  order: 1,
  todo: 1,
} as const;

/** What sessions are made from. */
export type SessionEvent = Pick<
  EventDocument,
  "_id" | "page" | Exclude<keyof typeof SESSION_FIELDS, "page.path" | "todo">
> & { /** Waits for its session. */ pending?: boolean };

export type PendingEvent = SessionEvent & Pick<EventDocument, "receivedAt">;

/** An event, and what a rebuild judges anew by. */
export type JudgedEvent = PendingEvent & Pick<EventDocument, "type" | "userAgent" | "origin">;

/** `todo` marks a stored event that waits; elsewhere it is called pending. */
const toSessionEvents = <Event extends SessionEvent>(rows: (Event & { todo?: 1 })[]): Event[] => {
  for (const row of rows) row.pending = row.todo === 1;
  return rows;
};

/** Events that wait for their session, and the events around them.  */
export const createQueueStore = (mongo: Mongo) => {
  const Event = eventModel(mongo.connection);
  const State = analyticsStateModel(mongo.connection);

  return {
    /** One settling transaction at a time: the write that makes two of them conflict. */
    async guard(tx: MongoTx): Promise<void> {
      await State.updateOne({ _id: "guard" }, { $inc: { version: 1 } }, { ...mongo.in(tx), upsert: true });
    },

    /** Events that have no session yet, the longest waiting first. */
    pending: async (limit: number, tx?: MongoTx): Promise<PendingEvent[]> =>
      toSessionEvents(
        await Event.find({ todo: 1 }, { ...SESSION_FIELDS, receivedAt: 1 }, { ...mongo.in(tx), ...WHOLE })
          .sort({ receivedAt: 1 })
          .limit(limit)
          .lean<PendingEvent[]>(),
      ),

    /** Events of devices (bots left out) or of visitors in a period, unsorted. */
    async eventsOf(
      field: "device" | "visitor",
      keys: string[],
      { from, to }: Range,
      tx?: MongoTx,
    ): Promise<SessionEvent[]> {
      const filter = {
        [field]: { $in: keys },
        at: { $gte: from, $lt: to },
        ...(field === "device" ? { bot: false } : {}),
      };
      return toSessionEvents(
        await Event.find(filter, SESSION_FIELDS, { ...mongo.in(tx), ...WHOLE }).lean<SessionEvent[]>(),
      );
    },

    /** Those of these events that belong to somebody else than a visitor, unsorted. */
    eventsOfOthers: (ids: string[], visitor: string, tx?: MongoTx): Promise<SessionEvent[]> =>
      inChunks(ids, (part) =>
        Event.find({ _id: { $in: part }, visitor: { $ne: visitor } }, SESSION_FIELDS, mongo.in(tx)).lean<
          SessionEvent[]
        >(),
      ),

    /** What servers reported without a page, of devices (bots left out) or visitors in a period, unsorted. */
    backgroundOf: (field: "device" | "visitor", keys: string[], { from, to }: Range, tx: MongoTx) =>
      inChunks(keys, async (part) => {
        const filter = {
          background: true as const,
          [field]: { $in: part },
          at: { $gte: from, $lt: to },
          ...(field === "device" ? { bot: false } : {}),
        };
        return toSessionEvents(
          await Event.find(filter, SESSION_FIELDS, { ...mongo.in(tx), ...WHOLE }).lean<SessionEvent[]>(),
        );
      }),

    /** Whose the last thing is that happened on a device, not in the background, from `from` to before `to`. */
    async lastVisitorOf(device: string, { from, to }: Range, tx: MongoTx): Promise<string | null> {
      const filter = { device, bot: false, background: { $exists: false }, at: { $gte: from, $lt: to } };
      const [last] = await Event.find(filter, { visitor: 1 }, mongo.in(tx))
        .sort({ at: -1 })
        .limit(1)
        .lean<{ visitor: string }[]>();
      return last?.visitor ?? null;
    },

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

    /** Events up to a time in the order in which they came, from behind one on. */
    eventsAfter: async (
      after: Pick<JudgedEvent, "_id" | "receivedAt"> | null,
      until: Date,
      limit: number,
      tx?: MongoTx,
    ): Promise<JudgedEvent[]> =>
      toSessionEvents(
        await Event.find(
          {
            receivedAt: { $lte: until, ...(after === null ? {} : { $gte: after.receivedAt }) },
            ...(after === null
              ? {}
              : {
                  $or: [
                    { receivedAt: { $gt: after.receivedAt } },
                    { receivedAt: after.receivedAt, _id: { $gt: after._id } },
                  ],
                }),
          },
          { ...SESSION_FIELDS, receivedAt: 1, type: 1, userAgent: 1, origin: 1 },
          { ...mongo.in(tx), ...WHOLE },
        )
          .sort({ receivedAt: 1, _id: 1 })
          .hint(RECEIVED_INDEX)
          .limit(limit)
          .lean<JudgedEvent[]>(),
      ),

    /** About how many events there are. */
    count: (): Promise<number> => Event.estimatedDocumentCount(),

    /** Who did something at these times. By the times alone: few events share one, and many visitors have many. */
    eventsAt: (times: Date[]): Promise<Pick<EventDocument, "visitor" | "at">[]> =>
      Event.find({ at: { $in: times }, background: { $exists: false } }, { visitor: 1, at: 1 }, WHOLE).lean(),

    /** Stores who made events, where that was judged anew. */
    async setJudgement(
      judged: Pick<EventDocument, "_id" | "bot" | "visitor" | "background">[],
      tx: MongoTx,
    ): Promise<void> {
      for (const part of chunks(judged, 1000)) {
        await Event.bulkWrite(
          part.map(({ _id, bot, visitor, background }) => ({
            updateOne: {
              filter: { _id },
              update: { $set: { bot, visitor, ...(background ? { background } : {}) } },
            },
          })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },
  };
};

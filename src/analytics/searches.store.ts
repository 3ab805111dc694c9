import type { Mongo, MongoTx } from "../db/mongo";
import { inChunks } from "./batches.store";
import type { EventKind } from "./intake/spec";
import { type EventDocument, eventModel, type Range } from "./model";

/** A click that a search led to, or an order. */
export type FollowUp = Pick<
  EventDocument,
  "_id" | "kind" | "at" | "sequence" | "visitor" | "bot" | "products" | "searchId" | "position" | "orderId"
>;

const FOLLOW_FIELDS = {
  kind: 1,
  at: 1,
  sequence: 1,
  visitor: 1,
  bot: 1,
  products: 1,
  searchId: 1,
  position: 1,
  orderId: 1,
} as const;

/** Events of searches and of what followed them. */
export const createSearchStore = (mongo: Mongo) => {
  const Event = eventModel(mongo.connection);

  return {
    /** The events of searches in a period by their search ids, unsorted. */
    withIds: (
      searchIds: string[],
      { from, to }: Range,
      tx?: MongoTx,
    ): Promise<Pick<EventDocument, "_id" | "at" | "sequence" | "bot" | "searchId">[]> =>
      inChunks(searchIds, (part) =>
        Event.find(
          { searchId: { $in: part }, at: { $gte: from, $lt: to }, kind: "search" },
          { at: 1, sequence: 1, bot: 1, searchId: 1 },
          mongo.in(tx),
        ).lean<Pick<EventDocument, "_id" | "at" | "sequence" | "bot" | "searchId">[]>(),
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
    followedBy: (visitors: string[], { from, to }: Range, tx?: MongoTx) =>
      inChunks(visitors, (part) =>
        Event.find(
          {
            visitor: { $in: part },
            at: { $gte: from, $lt: to },
            kind: { $in: ["click", "view", "add"] },
            searchId: { $ne: null },
          },
          { at: 1, sequence: 1, bot: 1, searchId: 1 },
          mongo.in(tx),
        ).lean<Pick<EventDocument, "_id" | "at" | "sequence" | "bot" | "searchId">[]>(),
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

    /** The first event of a search, a person's before a bot's that came by its link. */
    find: (searchId: string): Promise<EventDocument | null> =>
      Event.findOne({ searchId, kind: "search" }).sort({ bot: 1, at: 1 }).lean<EventDocument>(),
  };
};

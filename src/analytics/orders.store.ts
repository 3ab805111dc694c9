import type { Mongo, MongoTx } from "../db/mongo";
import { chunks, inChunks, WHOLE } from "./batches.store";
import { type EventDocument, eventModel, type OrderPart } from "./model";
import { ORDER_KINDS, type OrderEvent } from "./orders";

const ORDER_FIELDS = {
  kind: 1,
  at: 1,
  sequence: 1,
  visitor: 1,
  bot: 1,
  origin: 1,
  products: 1,
  revenue: 1,
  amountMissing: 1,
  currency: 1,
  orderId: 1,
  refundId: 1,
  order: 1,
} as const;

/** Events of orders, and what each of them adds to the figures. */
export const createOrderStore = (mongo: Mongo) => {
  const Event = eventModel(mongo.connection);
  const read = (filter: Record<string, unknown>, tx: MongoTx) =>
    Event.find({ ...filter, kind: { $in: ORDER_KINDS } }, ORDER_FIELDS, { ...mongo.in(tx), ...WHOLE }).lean<
      OrderEvent[]
    >();

  return {
    /** All events of orders, and single ones that name no order; unsorted. */
    async eventsOf(orderIds: string[], ids: string[], tx: MongoTx): Promise<OrderEvent[]> {
      return [
        ...(await inChunks(orderIds, (part) => read({ orderId: { $in: part } }, tx))),
        ...(await inChunks(ids, (part) => read({ _id: { $in: part } }, tx))),
      ];
    },

    async set(changes: (Pick<EventDocument, "_id"> & { order: OrderPart })[], tx: MongoTx): Promise<void> {
      for (const part of chunks(changes, 1000)) {
        await Event.bulkWrite(
          part.map(({ _id, order }) => ({ updateOne: { filter: { _id }, update: { $set: { order } } } })),
          { ...mongo.in(tx), ordered: true },
        );
      }
    },
  };
};

import { isDeepStrictEqual } from "node:util";
import type { MongoTx } from "../db/mongo";
import type { AnalyticsDeps } from "./deps";
import type { EventDocument, OrderPart } from "./model";
import { countOrders, isOrderKind } from "./orders";

/** Whose order changed, and when that event was. */
export type Recounted = Pick<EventDocument, "_id" | "visitor" | "at"> & { order: OrderPart };

/** Counts the orders of these events anew, and stores what each event of them adds. @returns those that changed */
export async function recountOrders(
  deps: AnalyticsDeps,
  events: Pick<EventDocument, "_id" | "kind" | "orderId">[],
  tx: MongoTx,
): Promise<Recounted[]> {
  const own = events.filter(({ kind }) => isOrderKind(kind));
  if (own.length === 0) return [];
  const orderIds = [...new Set(own.flatMap(({ orderId }) => (orderId === null ? [] : [orderId])))];
  const alone = own.flatMap(({ _id, orderId }) => (orderId === null ? [_id] : []));
  const known = await deps.analytics.orders.eventsOf(orderIds, alone, tx);
  const parts = countOrders(known);
  const changed = known.flatMap(({ _id, visitor, at, order }) => {
    const part = parts.get(_id);
    return part === undefined || isDeepStrictEqual(part, order) ? [] : [{ _id, visitor, at, order: part }];
  });
  await deps.analytics.orders.set(changed, tx);
  return changed;
}

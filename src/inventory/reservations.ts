import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import type { Actor } from "../lib/actor";
import { after, SECOND } from "../lib/clock";
import { AppError } from "../lib/errors";
import { type Page, pageFrom } from "../lib/paging";
import { canonicalKey } from "../lib/text";
import type { ReservationResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { expireDue } from "./expiry";
import { mustExist } from "./found";
import { end, hold, renew, SkuRenamed } from "./holds";
import type { StockLedger } from "./ledger";
import { toReservation } from "./mapper";
import type { ReservationDocument, ReservationStatus } from "./model";
import type { EndReservation, ListReservations, Reserve } from "./schema";
import { insufficientStock } from "./stock";

/** How a reservation is made and told. */
export interface Reserving<Answer extends object> {
  record: RecordAnswer<MongoTx>;
  answer: (reservation: ReservationDocument) => Answer;
  shopper?: Pick<ReservationDocument, "shopperId" | "shopperSource">;
  /** In its transaction, before anything else. */
  prepare?: (tx: MongoTx) => Promise<void>;
}

/**
 * Holds stock for a time: every line or none. When it falls short, reservations whose time is up are ended
 * first, in case the sweep has not come to them yet. Nothing is available of what no active product has.
 * @throws AppError insufficient_stock with the SKU that is short, invalid_input
 */
export async function reserveAs<Answer extends object>(
  deps: InventoryDeps,
  actor: Actor,
  { lines, ttlSeconds, reference }: Reserve,
  { record, answer, shopper, prepare }: Reserving<Answer>,
): Promise<Answer> {
  const wanted = lines.map((line) => ({ ...line, skuKey: canonicalKey(line.sku) }));
  const until = after(deps.clock.now(), ttlSeconds * SECOND);
  // Before the transaction: an archived product's last reservation may begin before it is archived.
  const forSale = await deps.products.activeSkus(wanted.map(({ skuKey }) => skuKey));
  const other = wanted.find(({ skuKey }) => !forSale.has(skuKey));
  if (other) throw insufficientStock(other.sku, other.locationId ?? null, other.quantity, 0);
  const attempt = () =>
    deps.stock.submit({
      actorId: actor.callerId,
      skuKeys: wanted.map(({ skuKey }) => skuKey),
      ...(prepare ? { prepare } : {}),
      decide: (ledger) => answer(hold(ledger, wanted, until, reference ?? null, shopper)),
      record,
    });
  try {
    return await attempt();
  } catch (error) {
    const short = error instanceof AppError && error.code === "insufficient_stock";
    if (!short || (await expireDue(deps)) === 0) throw error;
    return attempt();
  }
}

/** Holds stock for a checkout. @throws as `reserveAs` */
export const reserve = (
  deps: InventoryDeps,
  actor: Actor,
  request: Reserve,
  record: RecordAnswer<MongoTx>,
): Promise<ReservationResponse> => reserveAs(deps, actor, request, { record, answer: toReservation });

/** How often a reservation is read again whose SKUs are renamed at the same moment. */
const TRIES = 3;

/** A change of one reservation; its SKUs, which are read before, change seldom. */
async function changeReservation<Answer extends object>(
  deps: InventoryDeps,
  actor: Actor,
  id: string,
  record: RecordAnswer<MongoTx>,
  decide: (ledger: StockLedger) => Answer,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const found = mustExist(await deps.inventory.findReservation(id), "reservation");
    try {
      return await deps.stock.submit({
        actorId: actor.callerId,
        skuKeys: found.lines.map(({ skuKey }) => skuKey),
        reservationIds: [id],
        decide,
        record,
      });
    } catch (error) {
      if (!(error instanceof SkuRenamed) || attempt >= TRIES) throw error;
    }
  }
}

/**
 * The goods leave, or go back on sale: those that are named, or all.
 * @throws AppError not_found, invalid_input, conflict when it has ended, its time is up (to commit), or it holds less
 */
export function endAs<Answer extends object>(
  deps: InventoryDeps,
  actor: Actor,
  id: string,
  status: "committed" | "released",
  request: EndReservation,
  record: RecordAnswer<MongoTx>,
  answer: (reservation: ReservationDocument) => Answer,
): Promise<Answer> {
  const wanted = request?.lines?.map((line) => ({ ...line, skuKey: canonicalKey(line.sku) }));
  return changeReservation(deps, actor, id, record, (ledger) => answer(end(ledger, id, status, wanted)));
}

/** Ends a reservation, or units of it, for a checkout. @throws as `endAs` */
export const endReservation = (
  deps: InventoryDeps,
  actor: Actor,
  id: string,
  status: "committed" | "released",
  request: EndReservation,
  record: RecordAnswer<MongoTx>,
): Promise<ReservationResponse> => endAs(deps, actor, id, status, request, record, toReservation);

/** Holds it so long from now. @throws AppError not_found, conflict when it has ended or its time is up */
export const renewReservation = (
  deps: InventoryDeps,
  actor: Actor,
  id: string,
  { ttlSeconds }: { ttlSeconds: number },
  record: RecordAnswer<MongoTx>,
) => {
  const until = after(deps.clock.now(), ttlSeconds * SECOND);
  return changeReservation(deps, actor, id, record, (ledger) => toReservation(renew(ledger, id, until)));
};

/** @throws AppError not_found */
export async function readReservation(deps: InventoryDeps, id: string): Promise<ReservationResponse> {
  return toReservation(mustExist(await deps.inventory.findReservation(id), "reservation"));
}

/** A page of reservations of one status, the newest first. @throws AppError invalid_cursor */
export async function listReservations(
  deps: InventoryDeps,
  { status, limit, cursor }: ListReservations,
): Promise<Page<ReservationResponse>> {
  const filter: { list: string; status: ReservationStatus } = { list: "reservations", status };
  const [before] = cursor === undefined ? [] : deps.cursors.decode(cursor, filter);
  const rows = await deps.inventory.listReservations({
    status,
    limit,
    ...(before === undefined ? {} : { before: String(before) }),
  });
  return pageFrom(deps, rows, limit, filter, toReservation, (last) => [last._id]);
}

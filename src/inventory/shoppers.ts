/** What shoppers hold for themselves, where the shop lets them: within limits, and none of anybody else's. */
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import type { Actor } from "../lib/actor";
import { after, DAY } from "../lib/clock";
import { macOf } from "../lib/crypto";
import { AppError, invalidInput } from "../lib/errors";
import type { ShopperReservationResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { heldOf } from "./holds";
import { toShopperReservation } from "./mapper";
import { personKey, type ReservationDocument, shopperKeys } from "./model";
import { endAs, reserveAs } from "./reservations";
import type { EndReservation, ShopperReserve } from "./schema";

/** Whoever reserves for themselves, and from where: a hash, so that no address is kept. */
export interface Shopper {
  shopperId: string;
  shopperSource: string;
}

const noReservation = () => new AppError("not_found", "There is no such reservation of yours.");

/** @throws AppError not_found where the shop does not let shoppers reserve */
function requireOn({ config }: InventoryDeps): void {
  if (!config.shopperReservations.on) {
    throw new AppError("not_found", "Shoppers do not reserve for themselves in this shop.");
  }
}

/** Units that reservations hold. */
const unitsOf = (reservations: ReservationDocument[]): number =>
  reservations
    .flatMap(({ lines }) => lines.flatMap(({ allocations }) => allocations))
    .reduce((sum, allocation) => sum + heldOf(allocation), 0);

/**
 * Holds that a shopper and the address they come from have no more than they may, in the transaction that gives them
 * more: of two at once of one person or one address, one is decided after the other.
 * @throws AppError conflict
 */
async function checkLimits(
  deps: InventoryDeps,
  shopper: Shopper,
  wanted: number,
  tx: MongoTx,
): Promise<void> {
  const { units, addressUnits } = deps.config.shopperReservations;
  const now = deps.clock.now();
  const keys = shopperKeys(shopper);
  const [ofAddress = [], ofPerson = []] = await deps.inventory.guardShopper(keys, after(now, DAY), tx);
  const listed = [...new Set([...ofAddress, ...ofPerson])];
  const living = await deps.inventory.livingReservations(listed, now, tx);
  const ended = new Set(listed).difference(new Set(living.map(({ _id }) => _id)));
  if (ended.size > 0) await deps.inventory.forgetEnded(keys, [...ended], tx);
  for (const [ids, most, whose] of [
    [ofPerson, units, "You hold"],
    [ofAddress, addressUnits, "Shoppers of your network hold"],
  ] as const) {
    const held = unitsOf(living.filter(({ _id }) => ids.includes(_id)));
    if (held + wanted <= most) continue;
    throw new AppError(
      "conflict",
      `${whose} ${held} of at most ${most} units already. Release some, or wait until their time is up.`,
      { members: { limit: most, held } },
    );
  }
}

/**
 * Holds units for a shopper: every line or none. How many there are of anything is not told.
 * @param address the network that they come from
 * @throws AppError not_found where this is switched off, invalid_input, conflict above a limit, insufficient_stock
 */
export async function reserveForShopper(
  deps: InventoryDeps,
  actor: Actor,
  address: string,
  { lines, ttlSeconds }: ShopperReserve,
  record: RecordAnswer<MongoTx>,
): Promise<ShopperReservationResponse> {
  requireOn(deps);
  const longest = deps.config.shopperReservations.minutes * 60;
  if (ttlSeconds !== undefined && ttlSeconds > longest) {
    throw invalidInput("ttlSeconds", "too_large", `must be at most ${longest}`);
  }
  const wanted = lines.reduce((sum, { quantity }) => sum + quantity, 0);
  const shopper: Shopper = {
    shopperId: actor.userId,
    shopperSource: Buffer.from(macOf(deps.keys("shopper-address")[0], address)).toString("base64url"),
  };
  try {
    return await reserveAs(
      deps,
      actor,
      { lines, ttlSeconds: ttlSeconds ?? longest, reference: null },
      {
        record,
        shopper,
        answer: toShopperReservation,
        prepare: (tx) => checkLimits(deps, shopper, wanted, tx),
      },
    );
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "insufficient_stock") throw error;
    const sku = String(error.members?.sku);
    throw new AppError("insufficient_stock", `There is not enough of ${sku}.`, { members: { sku } });
  }
}

/** @throws AppError not_found for another's, too */
async function requireOwn(deps: InventoryDeps, actor: Actor, id: string): Promise<ReservationDocument> {
  requireOn(deps);
  const found = await deps.inventory.findReservation(id);
  if (!found || found.shopperId !== actor.userId) throw noReservation();
  return found;
}

/** What a shopper holds now. @throws AppError not_found where this is switched off */
export async function listOwn(deps: InventoryDeps, { userId }: Actor): Promise<ShopperReservationResponse[]> {
  requireOn(deps);
  const ids = await deps.inventory.reservationIdsOf(personKey(userId));
  return (await deps.inventory.livingReservations(ids, deps.clock.now())).map(toShopperReservation);
}

/** @throws AppError not_found */
export const readOwn = async (deps: InventoryDeps, actor: Actor, id: string) =>
  toShopperReservation(await requireOwn(deps, actor, id));

/**
 * Gives back what a shopper holds, or units of it. They never extend their time: whoever wants more begins anew, behind
 * others who wait.
 * @throws AppError not_found, invalid_input, conflict when it has ended or holds less
 */
export async function releaseOwn(
  deps: InventoryDeps,
  actor: Actor,
  id: string,
  request: EndReservation,
  record: RecordAnswer<MongoTx>,
): Promise<ShopperReservationResponse> {
  await requireOwn(deps, actor, id);
  return endAs(deps, actor, id, "released", request, record, toShopperReservation);
}

import { AppError } from "../lib/errors";
import type { InventoryDeps } from "./deps";
import { end } from "./holds";

/** Reservations looked at in one round. */
const ROUND = 200;
/** Rounds of one call; the next sweep goes on. */
const MAX_ROUNDS = 50;

/**
 * Gives back what reservations hold whose time is up. Safe to run anywhere, any number of times at once, and
 * to die in the middle: each reservation ends in one transaction, which only the first one can make.
 * @returns how many this call ended
 */
export async function expireDue(deps: InventoryDeps): Promise<number> {
  let count = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const due = await deps.inventory.dueReservations(deps.clock.now(), ROUND);
    const ended = await Promise.all(
      due.map(async ({ _id, lines }) => {
        try {
          await deps.stock.submit({
            actorId: "system",
            skuKeys: lines.map(({ skuKey }) => skuKey),
            reservationIds: [_id],
            decide: (ledger) => end(ledger, _id, "expired"),
          });
          return true;
        } catch (error) {
          // Someone else ended or renewed it; anything else must not keep the others from ending.
          if (!(error instanceof AppError && error.code === "conflict")) {
            deps.log.warn({ err: error, reservation: _id }, "a reservation was not given back; trying again");
          }
          return false;
        }
      }),
    );
    const given = ended.filter(Boolean).length;
    count += given;
    if (due.length < ROUND || given === 0) break;
  }
  return count;
}

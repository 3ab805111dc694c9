import { type Manager, managedEntry } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError, invalidInput } from "../lib/errors";
import type { ChangedLevelResponse, TransferResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import type { StockLedger } from "./ledger";
import { toLevel, toMovement } from "./mapper";
import type { MovementDocument } from "./model";
import type { Adjust, SetQuantity, Transfer } from "./schema";
import { stockableSku } from "./skus";

/** Reads the sale that a return reverses, with how much of it came back, in the transaction of the return. */
function readSale(deps: InventoryDeps, saleId: string | undefined, skuKey: string) {
  if (saleId === undefined) return undefined;
  let sale: MovementDocument | null = null;
  let returned = 0;
  return {
    async prepare(tx: MongoTx): Promise<void> {
      // Two returns of one sale may be to two locations, and must not pass each other.
      await deps.inventory.holdLevels(skuKey, tx);
      sale = await deps.inventory.findMovement(saleId, tx);
      returned = await deps.inventory.returnedOf(saleId, tx);
    },
    /** @throws AppError invalid_input when it is no sale of the SKU, conflict when less of it is left */
    check(ledger: StockLedger, units: number): void {
      const isSale = sale?.kind === "sell" && ledger.levelAt(skuKey, sale.locationId)?._id === sale.levelId;
      if (!sale || !isSale) throw invalidInput("reverses", "not_found", "is not a sale of this SKU");
      const left = -sale.onHand - returned;
      if (units <= left) return;
      throw new AppError("conflict", `Only ${left} of that sale can still come back; ${units} were named.`, {
        members: { available: left },
      });
    },
  };
}

/** Changes what is on hand by a difference. @throws AppError invalid_input, insufficient_stock, conflict */
export async function adjust(
  deps: InventoryDeps,
  manager: Manager,
  { sku, locationId, delta, kind, reason, reference, reverses }: Adjust,
  record: RecordAnswer<MongoTx>,
): Promise<ChangedLevelResponse> {
  const known = await stockableSku(deps, sku, locationId);
  const entry = managedEntry(deps, manager, "stock.adjusted");
  const sale = readSale(deps, reverses, known.skuKey);
  return deps.stock.submit({
    actorId: manager.actor.callerId,
    skuKeys: [known.skuKey],
    ...(sale ? { prepare: sale.prepare } : {}),
    decide: (ledger) => {
      sale?.check(ledger, delta);
      const { level, movement } = ledger.shift(ledger.ensureLevel(known, locationId), {
        kind,
        onHand: delta,
        reason,
        reference: reference ?? null,
        ...(reverses === undefined ? {} : { reversesId: reverses }),
      });
      return { level: toLevel(level), movement: toMovement(movement) };
    },
    record,
    audit: ({ level }) => ({
      ...entry,
      detail: { sku, locationId, delta, kind, onHand: level.onHand, reason },
    }),
  });
}

/**
 * Sets what is on hand, if it is what the caller believes it to be. The same quantity again is no change and
 * leaves no movement.
 * @throws AppError version_conflict with `currentQuantity`, invalid_input, insufficient_stock
 */
export async function setQuantity(
  deps: InventoryDeps,
  manager: Manager,
  { sku, locationId, expected, quantity, reason, reference }: SetQuantity,
  record: RecordAnswer<MongoTx>,
): Promise<ChangedLevelResponse> {
  const known = await stockableSku(deps, sku, locationId);
  const entry = managedEntry(deps, manager, "stock.set");
  return deps.stock.submit({
    actorId: manager.actor.callerId,
    skuKeys: [known.skuKey],
    decide: (ledger): ChangedLevelResponse => {
      const present = ledger.ensureLevel(known, locationId);
      if (present.onHand !== expected) {
        throw new AppError("version_conflict", `There are ${present.onHand} on hand, not ${expected}.`, {
          members: {
            currentVersion: present.version,
            currentQuantity: present.onHand,
            expectedQuantity: expected,
          },
        });
      }
      if (quantity === present.onHand) return { level: toLevel(present), movement: null };
      const { level, movement } = ledger.shift(present, {
        kind: "adjust",
        onHand: quantity - present.onHand,
        reason,
        reference: reference ?? null,
      });
      return { level: toLevel(level), movement: toMovement(movement) };
    },
    record,
    audit: ({ movement }) =>
      movement && { ...entry, detail: { sku, locationId, from: expected, onHand: quantity, reason } },
  });
}

/** Moves units between two locations: every line or none. @throws AppError invalid_input, insufficient_stock */
export async function transfer(
  deps: InventoryDeps,
  manager: Manager,
  { fromLocationId, toLocationId, lines, reason, reference }: Transfer,
  record: RecordAnswer<MongoTx>,
): Promise<TransferResponse> {
  const known: { sku: string; skuKey: string; quantity: number }[] = [];
  for (const [index, { sku, quantity }] of lines.entries()) {
    known.push({ ...(await stockableSku(deps, sku, fromLocationId, `lines.${index}.sku`)), quantity });
  }
  const id = deps.random.id();
  const entry = managedEntry(deps, manager, "stock.transferred");
  return deps.stock.submit({
    actorId: manager.actor.callerId,
    skuKeys: known.map(({ skuKey }) => skuKey),
    decide: (ledger) => {
      ledger.locationOf(fromLocationId, "fromLocationId");
      ledger.locationOf(toLocationId, "toLocationId");
      const details = {
        kind: "transfer" as const,
        reason: reason ?? null,
        reference: reference ?? null,
        transferId: id,
      };
      const movements = known.flatMap(({ quantity, ...sku }) => {
        const out = ledger.shift(ledger.ensureLevel(sku, fromLocationId), { ...details, onHand: -quantity });
        const into = ledger.shift(ledger.ensureLevel(sku, toLocationId), { ...details, onHand: quantity });
        return [toMovement(out.movement), toMovement(into.movement)];
      });
      return { id, movements };
    },
    record,
    audit: () => ({ ...entry, detail: { id, fromLocationId, toLocationId, lines } }),
  });
}

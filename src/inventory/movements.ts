import { type Page, pageFrom } from "../lib/paging";
import { canonicalKey } from "../lib/text";
import type { MovementResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { toMovement } from "./mapper";
import type { ListMovements } from "./schema";

/** A page of the ledger, the newest first. @throws AppError invalid_cursor */
export async function listMovements(
  deps: InventoryDeps,
  { sku, locationId, reservationId, limit, cursor }: ListMovements,
): Promise<Page<MovementResponse>> {
  const skuKey = sku === undefined ? undefined : canonicalKey(sku);
  const filter = {
    list: "movements",
    skuKey: skuKey ?? null,
    locationId: locationId ?? null,
    reservationId: reservationId ?? null,
  };
  const [id, sequence] = cursor === undefined ? [] : deps.cursors.decode(cursor, filter);
  const before = cursor === undefined ? {} : { before: { id: String(id), sequence: Number(sequence) } };
  const levels = skuKey === undefined ? [] : await deps.inventory.levelsOf([skuKey]);
  const level = levels.find((one) => one.locationId === locationId);
  // A level that was renamed brings its history along.
  const former = levels.flatMap(({ formerSkuKeys = [] }) => formerSkuKeys);
  const ofSku =
    skuKey === undefined || former.length === 0
      ? { skuKey }
      : { renamed: { skuKeys: [skuKey, ...former], levelIds: levels.map(({ _id }) => _id) } };
  const rows =
    locationId !== undefined && !level
      ? []
      : await deps.inventory.listMovements({
          ...(level ? { levelId: level._id } : { ...ofSku, reservationId }),
          ...before,
          limit,
        });
  return pageFrom(deps, rows, limit, filter, toMovement, (last) => [last._id, last.sequence]);
}

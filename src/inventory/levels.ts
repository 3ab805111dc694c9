import { type Manager, managedEntry } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { invalidInput } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { type Page, pageEnd, pageFrom } from "../lib/paging";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion } from "../lib/versions";
import type { LevelResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { mustExist } from "./found";
import { toLevel } from "./mapper";
import type { LevelDocument } from "./model";
import type { ChangeLevel, CreateLevel, ListLevels } from "./schema";
import { knownSku } from "./skus";
import { DEFAULT_SETTINGS, type LevelSettings } from "./stock";

/** A page of levels by SKU. @throws AppError invalid_cursor */
export async function listLevels(
  deps: InventoryDeps,
  { sku, locationId, limit, cursor }: ListLevels,
): Promise<Page<LevelResponse>> {
  const skuKey = sku === undefined ? undefined : canonicalKey(sku);
  const filter = { list: "levels", skuKey: skuKey ?? null, locationId: locationId ?? null };
  const after = levelCursor(deps, cursor, filter);
  const rows = await deps.inventory.listLevels({ skuKey, locationId, limit, after });
  return pageFrom(deps, rows, limit, filter, toLevel, (last) => [last.skuKey, last.locationId]);
}

/** The level that a cursor names. @throws AppError invalid_cursor */
export const levelCursor = (deps: InventoryDeps, cursor: string | undefined, filter: JsonValue) => {
  if (cursor === undefined) return undefined;
  const [skuKey, locationId] = deps.cursors.decode(cursor, filter);
  return { skuKey: String(skuKey), locationId: String(locationId) };
};

/** Low levels that one page looks at; with many of goods that are no longer sold it is short and has a next one. */
const LOOKED_AT = 1000;

/**
 * Those of the levels that matter: at an active location, of a SKU that an active product has.
 * @param active ids of the active locations
 */
export async function sellable(
  deps: InventoryDeps,
  levels: LevelDocument[],
  active: string[],
): Promise<LevelDocument[]> {
  const skus = await deps.products.activeSkus(levels.map(({ skuKey }) => skuKey));
  return levels.filter(({ skuKey, locationId }) => skus.has(skuKey) && active.includes(locationId));
}

/**
 * A page of the levels at or below their threshold, by SKU, without what is not sold now.
 * @throws AppError invalid_cursor
 */
export async function listLowStock(
  deps: InventoryDeps,
  { locationId, limit, cursor }: Omit<ListLevels, "sku">,
): Promise<Page<LevelResponse>> {
  const filter = { list: "low", locationId: locationId ?? null };
  const active = await deps.inventory.activeLocationIds();
  const found: LevelDocument[] = [];
  let after = levelCursor(deps, cursor, filter);
  let isMore = true;
  for (let looked = 0; looked < LOOKED_AT && found.length <= limit && isMore; looked += limit + 1) {
    const rows = await deps.inventory.listLevels({ locationId, low: true, limit, after });
    isMore = rows.length > limit;
    found.push(...(await sellable(deps, rows, active)));
    after = rows.at(-1);
  }
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : isMore ? after : undefined;
  return {
    data: page.map(toLevel),
    page: pageEnd(deps, last === undefined ? null : [last.skuKey, last.locationId], filter),
  };
}

/** @throws AppError not_found */
export async function readLevel(deps: InventoryDeps, id: string): Promise<LevelResponse> {
  return toLevel(mustExist(await deps.inventory.findLevel(id), "level"));
}

const checkSettings = (settings: LevelSettings): LevelSettings => {
  if (settings.backorder === "deny" && settings.backorderLimit !== null) {
    throw invalidInput("backorderLimit", "not_allowed", "goes with backorder: allow");
  }
  return settings;
};

/** Makes an empty level with its settings. @throws AppError invalid_input, already_exists */
export async function createLevel(
  deps: InventoryDeps,
  manager: Manager,
  { sku, locationId, ...given }: CreateLevel,
  record: RecordAnswer<MongoTx>,
): Promise<LevelResponse> {
  const settings = checkSettings({ ...DEFAULT_SETTINGS, ...given });
  const known = await knownSku(deps, sku);
  const entry = managedEntry(deps, manager, "stock_level.created");
  return deps.stock.submit({
    actorId: manager.actor.callerId,
    skuKeys: [known.skuKey],
    decide: (ledger) => toLevel(ledger.createLevel(known, locationId, settings)),
    record,
    audit: ({ id }) => ({ ...entry, detail: { id, sku, locationId, ...settings } }),
  });
}

/** Changes a level's settings. @throws AppError not_found, precondition_failed, invalid_input */
export async function changeLevel(
  deps: InventoryDeps,
  manager: Manager,
  id: string,
  expected: ExpectedVersions,
  change: ChangeLevel,
): Promise<LevelResponse> {
  const found = mustExist(await deps.inventory.findLevel(id), "level");
  const entry = managedEntry(deps, manager, "stock_level.changed");
  return deps.stock.submit({
    actorId: manager.actor.callerId,
    skuKeys: [found.skuKey],
    decide: (ledger) => {
      const level = mustExist(ledger.levelAt(found.skuKey, found.locationId) ?? null, "level");
      expectVersion(expected, level.version);
      const { safetyThreshold, backorder, backorderLimit } = { ...level, ...change };
      // Forbidding backorders takes their limit away unless one is given, which would be a contradiction.
      const limit = backorder === "deny" && change.backorderLimit === undefined ? null : backorderLimit;
      return toLevel(
        ledger.configure(level, checkSettings({ safetyThreshold, backorder, backorderLimit: limit })),
      );
    },
    audit: ({ sku, locationId }) => ({ ...entry, detail: { id, sku, locationId, changed: change } }),
  });
}

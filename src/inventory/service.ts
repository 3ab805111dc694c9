import type { MongoTx } from "../db/mongo";
import type { Deps } from "../deps";
import type { RecordAnswer } from "../http/idempotency";
import type { Actor } from "../lib/actor";
import { after, SECOND } from "../lib/clock";
import { AppError, invalidInput } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import { expireDue } from "./expiry";
import { DEFAULT_SETTINGS, type LevelSettings } from "./ledger";
import { toLevel, toLocation, toMovement, toReservation } from "./mapper";
import type { LevelDocument, ReservationStatus } from "./model";
import type {
  Adjust,
  ChangedLevelResponse,
  ChangeLevel,
  ChangeLocation,
  CreateLevel,
  CreateLocation,
  LevelResponse,
  ListLevels,
  ListMovements,
  ListReservations,
  LocationResponse,
  MovementResponse,
  ProductInventoryResponse,
  ReservationResponse,
  Reserve,
  SetQuantity,
  Transfer,
  TransferResponse,
} from "./schema";

/** Most locations of an installation: each change of stock reads them. */
export const MAX_LOCATIONS = 200;

/** A page as lists answer it. */
interface Page<T> {
  data: T[];
  page: { nextCursor: string | null; hasMore: boolean };
}

type Record = RecordAnswer<MongoTx>;

const noLocation = () => new AppError("not_found", "There is no such location.");
const noLevel = () => new AppError("not_found", "There is no such level.");
const noReservation = () => new AppError("not_found", "There is no such reservation.");
/** Cuts the one row too many off a page and makes the cursor of the next. */
function pageFrom<Row, Item>(
  deps: Deps,
  rows: Row[],
  limit: number,
  filter: JsonValue,
  map: (row: Row) => Item,
  position: (last: Row) => JsonValue[],
): Page<Item> {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(map),
    page: {
      hasMore,
      nextCursor: hasMore && last !== undefined ? deps.cursors.encode(position(last), filter) : null,
    },
  };
}

// Locations

/** Every location, the first to be taken from first. */
export async function listLocations(deps: Deps): Promise<LocationResponse[]> {
  return (await deps.inventory.listLocations()).map(toLocation);
}

/** @throws AppError not_found */
export async function readLocation(deps: Deps, id: string): Promise<LocationResponse> {
  const location = await deps.inventory.findLocation(id);
  if (!location) throw noLocation();
  return toLocation(location);
}

/** @throws AppError already_exists when the code is taken, conflict when there are too many */
export async function createLocation(
  deps: Deps,
  input: CreateLocation,
  record: Record,
): Promise<LocationResponse> {
  const now = deps.clock.now();
  const location = {
    _id: deps.random.id(),
    ...input,
    codeKey: canonicalKey(input.code),
    levelCount: 0,
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
  if ((await deps.inventory.countLocations()) >= MAX_LOCATIONS) {
    throw new AppError("conflict", `There are ${MAX_LOCATIONS} locations; more are not supported.`);
  }
  const response = toLocation(location);
  try {
    await deps.mongo.transaction(async (tx) => {
      await deps.inventory.createLocation(location, tx);
      await record(tx, response);
    });
  } catch (error) {
    // The code may be taken by this very location: a first commit took, its answer was lost, and it ran again.
    if (!(await deps.inventory.findLocation(location._id))) throw error;
  }
  return response;
}

/** @throws AppError not_found, precondition_failed, already_exists */
export async function changeLocation(
  deps: Deps,
  id: string,
  expected: ExpectedVersions,
  change: ChangeLocation,
): Promise<LocationResponse> {
  const now = deps.clock.now();
  const signal = { _id: deps.random.id(), locationId: id, createdAt: now };
  const set = {
    ...change,
    ...(change.code === undefined ? {} : { codeKey: canonicalKey(change.code) }),
    updatedAt: now,
  };
  const changed = await deps.mongo.transaction(async (tx) => {
    const location = await deps.inventory.updateLocation(id, expected, set, tx);
    // What lies there can be had now, or no longer.
    if (location && change.active !== undefined) await deps.inventory.addSignals([signal], tx);
    return location;
  });
  if (changed) return toLocation(changed);
  const present = await deps.inventory.findLocation(id);
  if (!present) throw noLocation();
  throw staleVersion(present.version);
}

/** Deletes a location that never had a level. @throws AppError not_found, precondition_failed, conflict */
export async function deleteLocation(deps: Deps, id: string, expected: ExpectedVersions): Promise<void> {
  if (await deps.inventory.deleteLocation(id, expected)) return;
  const location = await deps.inventory.findLocation(id);
  if (!location) throw noLocation();
  expectVersion(expected, location.version);
  throw new AppError(
    "conflict",
    "The location has stock levels, and their history names it. Set it inactive instead.",
  );
}

// Levels

/** The SKU as its product spells it. @throws AppError invalid_input when no living product has it */
async function knownSku(deps: Deps, sku: string, path = "sku"): Promise<{ sku: string; skuKey: string }> {
  const skuKey = canonicalKey(sku);
  const product = await deps.products.findBySku(skuKey);
  const variant = product?.variants.find((candidate) => candidate.skuKey === skuKey);
  if (!variant) throw invalidInput(path, "not_found", "no product has this SKU");
  return { sku: variant.sku, skuKey };
}

/** A SKU whose level at the location exists, or that a product has, so that one can be made. */
async function stockableSku(deps: Deps, sku: string, locationId: string, path = "sku") {
  const level = await deps.inventory.findLevelAt(canonicalKey(sku), locationId);
  return level ? { sku: level.sku, skuKey: level.skuKey } : knownSku(deps, sku, path);
}

/** A page of levels by SKU. @throws AppError invalid_cursor */
export async function listLevels(
  deps: Deps,
  { sku, locationId, limit, cursor, low }: ListLevels & { low?: boolean },
): Promise<Page<LevelResponse>> {
  const skuKey = sku === undefined ? undefined : canonicalKey(sku);
  const filter = {
    list: "levels",
    skuKey: skuKey ?? null,
    locationId: locationId ?? null,
    low: low === true,
  };
  const [afterSku, afterLocation] = cursor === undefined ? [] : deps.cursors.decode(cursor, filter);
  const rows = await deps.inventory.listLevels({
    skuKey,
    locationId,
    low,
    limit,
    ...(cursor === undefined
      ? {}
      : { after: { skuKey: String(afterSku), locationId: String(afterLocation) } }),
  });
  return pageFrom(deps, rows, limit, filter, toLevel, (last) => [last.skuKey, last.locationId]);
}

/** @throws AppError not_found */
export async function readLevel(deps: Deps, id: string): Promise<LevelResponse> {
  const level = await deps.inventory.findLevel(id);
  if (!level) throw noLevel();
  return toLevel(level);
}

const checkSettings = (settings: LevelSettings): LevelSettings => {
  if (settings.backorder === "deny" && settings.backorderLimit !== null) {
    throw invalidInput("backorderLimit", "not_allowed", "goes with backorder: allow");
  }
  return settings;
};

/** Makes an empty level with its settings. @throws AppError invalid_input, already_exists */
export async function createLevel(
  deps: Deps,
  actor: Actor,
  { sku, locationId, ...given }: CreateLevel,
  record: Record,
): Promise<LevelResponse> {
  const settings = checkSettings({ ...DEFAULT_SETTINGS, ...given });
  const known = await knownSku(deps, sku);
  return deps.stock.submit({
    actorId: actor.callerId,
    skuKeys: [known.skuKey],
    decide: (ledger) => toLevel(ledger.createLevel(known, locationId, settings)),
    record,
  });
}

/** Changes a level's settings. @throws AppError not_found, precondition_failed, invalid_input */
export async function changeLevel(
  deps: Deps,
  actor: Actor,
  id: string,
  expected: ExpectedVersions,
  change: ChangeLevel,
): Promise<LevelResponse> {
  const found = await deps.inventory.findLevel(id);
  if (!found) throw noLevel();
  return deps.stock.submit({
    actorId: actor.callerId,
    skuKeys: [found.skuKey],
    decide: (ledger) => {
      const level = ledger.levelAt(found.skuKey, found.locationId);
      if (!level) throw noLevel();
      expectVersion(expected, level.version);
      const { safetyThreshold, backorder, backorderLimit } = { ...level, ...change };
      // Forbidding backorders takes their limit away unless one is given, which would be a contradiction.
      const limit = backorder === "deny" && change.backorderLimit === undefined ? null : backorderLimit;
      return toLevel(
        ledger.configure(level, checkSettings({ safetyThreshold, backorder, backorderLimit: limit })),
      );
    },
  });
}

/** Changes what is on hand by a difference. @throws AppError invalid_input, insufficient_stock */
export async function adjust(
  deps: Deps,
  actor: Actor,
  { sku, locationId, delta, kind, reason, reference }: Adjust,
  record: Record,
): Promise<ChangedLevelResponse> {
  const known = await stockableSku(deps, sku, locationId);
  return deps.stock.submit({
    actorId: actor.callerId,
    skuKeys: [known.skuKey],
    decide: (ledger) => {
      const { level, movement } = ledger.shift(ledger.ensureLevel(known, locationId), {
        kind,
        onHand: delta,
        reason,
        reference: reference ?? null,
      });
      return { level: toLevel(level), movement: toMovement(movement) };
    },
    record,
  });
}

/**
 * Sets what is on hand, if it is what the caller believes it to be. The same quantity again is no change and
 * leaves no movement.
 * @throws AppError version_conflict with `currentQuantity`, invalid_input, insufficient_stock
 */
export async function setQuantity(
  deps: Deps,
  actor: Actor,
  { sku, locationId, expected, quantity, reason, reference }: SetQuantity,
  record: Record,
): Promise<ChangedLevelResponse> {
  const known = await stockableSku(deps, sku, locationId);
  return deps.stock.submit({
    actorId: actor.callerId,
    skuKeys: [known.skuKey],
    decide: (ledger): ChangedLevelResponse => {
      const present = ledger.ensureLevel(known, locationId);
      if (present.onHand !== expected) {
        throw new AppError("version_conflict", `There are ${present.onHand} on hand, not ${expected}.`, {
          members: { currentQuantity: present.onHand, expectedQuantity: expected },
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
  });
}

/** Moves units between two locations: every line or none. @throws AppError invalid_input, insufficient_stock */
export async function transfer(
  deps: Deps,
  actor: Actor,
  { fromLocationId, toLocationId, lines, reason, reference }: Transfer,
  record: Record,
): Promise<TransferResponse> {
  const known: { sku: string; skuKey: string; quantity: number }[] = [];
  for (const [index, { sku, quantity }] of lines.entries()) {
    known.push({ ...(await stockableSku(deps, sku, fromLocationId, `lines.${index}.sku`)), quantity });
  }
  const id = deps.random.id();
  return deps.stock.submit({
    actorId: actor.callerId,
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
  });
}

/** The stock of a product's variants. @throws AppError not_found */
export async function productInventory(deps: Deps, id: string): Promise<ProductInventoryResponse> {
  const product = await deps.products.findById(id);
  if (!product) throw new AppError("not_found", "There is no such product.");
  const levels = await deps.inventory.levelsOf(product.variants.map(({ skuKey }) => skuKey));
  const bySku = Map.groupBy(levels, ({ skuKey }) => skuKey);
  const sum = (of: LevelDocument[], field: "onHand" | "reserved" | "available") =>
    of.reduce((total, level) => total + level[field], 0);
  return {
    productId: product._id,
    inStock: product.inStock === true,
    variants: product.variants.map(({ _id, sku, skuKey }) => {
      const own = bySku.get(skuKey) ?? [];
      return {
        variantId: _id,
        sku,
        onHand: sum(own, "onHand"),
        reserved: sum(own, "reserved"),
        available: sum(own, "available"),
        levels: own.map(toLevel),
      };
    }),
  };
}

// Reservations

/**
 * Holds stock for a time: every line or none. When it falls short, reservations whose time is up are ended
 * first, in case the sweep has not come to them yet.
 * @throws AppError insufficient_stock with the SKU that is short, invalid_input
 */
export async function reserve(
  deps: Deps,
  actor: Actor,
  { lines, ttlSeconds, reference }: Reserve,
  record: Record,
): Promise<ReservationResponse> {
  const wanted = lines.map((line) => ({ ...line, skuKey: canonicalKey(line.sku) }));
  const until = after(deps.clock.now(), ttlSeconds * SECOND);
  const attempt = () =>
    deps.stock.submit({
      actorId: actor.callerId,
      skuKeys: wanted.map(({ skuKey }) => skuKey),
      decide: (ledger) => toReservation(ledger.reserve(wanted, until, reference ?? null)),
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

/** A change of one reservation. Its lines never change, so they can be read before. */
async function changeReservation(
  deps: Deps,
  actor: Actor,
  id: string,
  record: Record,
  decide: Parameters<typeof deps.stock.submit<ReservationResponse>>[0]["decide"],
): Promise<ReservationResponse> {
  const found = await deps.inventory.findReservation(id);
  if (!found) throw noReservation();
  return deps.stock.submit({
    actorId: actor.callerId,
    skuKeys: found.lines.map(({ skuKey }) => skuKey),
    reservationIds: [id],
    decide,
    record,
  });
}

/** The goods leave. @throws AppError not_found, conflict when it has ended or its time is up */
export const commitReservation = (deps: Deps, actor: Actor, id: string, record: Record) =>
  changeReservation(deps, actor, id, record, (ledger) => toReservation(ledger.end(id, "committed")));

/** The goods go back on sale. @throws AppError not_found, conflict when it has ended */
export const releaseReservation = (deps: Deps, actor: Actor, id: string, record: Record) =>
  changeReservation(deps, actor, id, record, (ledger) => toReservation(ledger.end(id, "released")));

/** Holds it so long from now. @throws AppError not_found, conflict when it has ended or its time is up */
export const renewReservation = (
  deps: Deps,
  actor: Actor,
  id: string,
  { ttlSeconds }: { ttlSeconds: number },
  record: Record,
) => {
  const until = after(deps.clock.now(), ttlSeconds * SECOND);
  return changeReservation(deps, actor, id, record, (ledger) => toReservation(ledger.renew(id, until)));
};

/** @throws AppError not_found */
export async function readReservation(deps: Deps, id: string): Promise<ReservationResponse> {
  const reservation = await deps.inventory.findReservation(id);
  if (!reservation) throw noReservation();
  return toReservation(reservation);
}

/** A page of reservations of one status, the newest first. @throws AppError invalid_cursor */
export async function listReservations(
  deps: Deps,
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

// Movements

/** A page of the ledger, the newest first. @throws AppError invalid_cursor */
export async function listMovements(
  deps: Deps,
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
  const level =
    skuKey !== undefined && locationId !== undefined
      ? await deps.inventory.findLevelAt(skuKey, locationId)
      : undefined;
  const rows =
    level === null
      ? []
      : await deps.inventory.listMovements({
          ...(level ? { levelId: level._id } : { skuKey, reservationId }),
          ...before,
          limit,
        });
  return pageFrom(deps, rows, limit, filter, toMovement, (last) => [last._id, last.sequence]);
}

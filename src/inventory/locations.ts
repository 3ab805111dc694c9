import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import type { LocationResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { mustExist } from "./found";
import { toLocation } from "./mapper";
import type { ChangeLocation, CreateLocation } from "./schema";

/** Every location, the first to be taken from first. */
export async function listLocations(deps: InventoryDeps): Promise<LocationResponse[]> {
  return (await deps.inventory.listLocations()).map(toLocation);
}

/** @throws AppError not_found */
export async function readLocation(deps: InventoryDeps, id: string): Promise<LocationResponse> {
  return toLocation(mustExist(await deps.inventory.findLocation(id), "location"));
}

/** @throws AppError already_exists when the code is taken, conflict when there are too many */
export async function createLocation(
  deps: InventoryDeps,
  input: CreateLocation,
  record: RecordAnswer<MongoTx>,
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
  deps: InventoryDeps,
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
  const present = mustExist(await deps.inventory.findLocation(id), "location");
  throw staleVersion(present.version);
}

/** Deletes a location that never had a level. @throws AppError not_found, precondition_failed, conflict */
export async function deleteLocation(
  deps: InventoryDeps,
  id: string,
  expected: ExpectedVersions,
): Promise<void> {
  if (await deps.inventory.deleteLocation(id, expected)) return;
  const location = mustExist(await deps.inventory.findLocation(id), "location");
  expectVersion(expected, location.version);
  throw new AppError(
    "conflict",
    "The location has stock levels, and their history names it. Set it inactive instead.",
  );
}

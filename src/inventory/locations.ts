import { type Manager, managedEntry, mutate } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import type { LocationResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { mustExist } from "./found";
import { toLocation } from "./mapper";
import type { LocationDocument } from "./model";
import type { ChangeLocation, CreateLocation } from "./schema";

const named = ({ _id, code, name }: Pick<LocationDocument, "_id" | "code" | "name">) => ({
  id: _id,
  code,
  name,
});

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
  manager: Manager | null,
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
  const audit = managedEntry(deps, manager, "stock_location.created", named(location));
  try {
    return await mutate(deps, "mongo", { audit, record }, async (tx) => {
      await deps.inventory.createLocation(location, tx);
      return response;
    });
  } catch (error) {
    // The code may be taken by this very location: a first commit took, its answer was lost, and it ran again.
    if (!(await deps.inventory.findLocation(location._id))) throw error;
    return response;
  }
}

/** @throws AppError not_found, precondition_failed, already_exists */
export async function changeLocation(
  deps: InventoryDeps,
  manager: Manager,
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
  const audit = managedEntry(deps, manager, "stock_location.changed");
  return mutate(deps, "mongo", { audit }, async (tx, { tell }) => {
    const location = await deps.inventory.updateLocation(id, expected, set, tx);
    if (!location) {
      throw staleVersion(mustExist(await deps.inventory.findLocation(id, tx), "location").version);
    }
    // What lies there can be had now, or no longer.
    if (change.active !== undefined) await deps.inventory.addSignals([signal], tx);
    tell({ ...named(location), changed: change });
    return toLocation(location);
  });
}

/** Deletes a location that never had a level. @throws AppError not_found, precondition_failed, conflict */
export async function deleteLocation(
  deps: InventoryDeps,
  manager: Manager,
  id: string,
  expected: ExpectedVersions,
): Promise<void> {
  const audit = managedEntry(deps, manager, "stock_location.deleted");
  await mutate(deps, "mongo", { audit }, async (tx, { tell }) => {
    const location = mustExist(await deps.inventory.findLocation(id, tx), "location");
    expectVersion(expected, location.version);
    tell(named(location));
    if (await deps.inventory.deleteLocation(id, expected, tx)) return;
    throw new AppError(
      "conflict",
      "The location has stock levels, and their history names it. Set it inactive instead.",
    );
  });
}

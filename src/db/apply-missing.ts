import type mariadb from "mariadb";
import { completeProducts } from "../products/complete";
import { syncIndexes } from "./indexes";
import { applyMigrations } from "./migrations";
import type { Mongo } from "./mongo";

/**
 * Applies what is missing in MySQL, and makes MongoDB's collections, indexes and products those of this version.
 * @param connection holds the lock of `withDeployLock`, which is for both: two processes would drop the same index of
 * MongoDB, and one of them would fail
 */
export async function applyMissing(connection: mariadb.Connection, mongo: Mongo) {
  const applied = await applyMigrations(connection);
  const collections = await syncIndexes(mongo);
  return { applied, collections, completed: await completeProducts(mongo) };
}

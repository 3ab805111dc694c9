import type mariadb from "mariadb";
import { completeProducts } from "../products/complete";
import { buildIndexes } from "./indexes";
import { applyMigrations } from "./migrations";
import type { Mongo } from "./mongo";

/**
 * Applies what is missing in MySQL, and makes MongoDB's collections, indexes and products those of this version. Where a
 * newer version was before, MongoDB is left as that made it.
 * @param connection holds the lock of `withDeployLock`, which is for both: two processes would make the same index of
 * MongoDB, and one of them would fail
 * @param dropUnused as for `buildIndexes`
 */
export async function applyMissing(connection: mariadb.Connection, mongo: Mongo, dropUnused = false) {
  const { applied, newer } = await applyMigrations(connection);
  if (newer.length > 0) return { applied, newer, collections: [], completed: 0 };
  const collections = await buildIndexes(mongo, dropUnused);
  return { applied, newer, collections, completed: await completeProducts(mongo) };
}

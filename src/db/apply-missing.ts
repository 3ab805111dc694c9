import type mariadb from "mariadb";
import type { Config } from "../config";
import { completeProducts } from "../products/complete";
import { syncIndexes } from "./indexes";
import { migrateMySql } from "./migrations";
import type { Mongo } from "./mongo";

/**
 * Applies what is missing in MySQL, and makes MongoDB's collections, indexes and products those of this version.
 * @param first as for `migrateMySql`
 */
export async function applyMissing(
  config: Config,
  mongo: Mongo,
  first?: (connection: mariadb.Connection) => Promise<void>,
) {
  const applied = await migrateMySql(config.databaseUrl, undefined, first);
  const collections = await syncIndexes(mongo);
  return { applied, collections, completed: await completeProducts(mongo) };
}

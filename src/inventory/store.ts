import type { Mongo } from "../db/mongo";
import { createLevelStore } from "./levels.store";
import { createLocationStore } from "./locations.store";
import { createMovementStore } from "./movements.store";
import { createRenameStore } from "./rename.store";
import { createReservationStore } from "./reservations.store";
import { createStockWriter } from "./stock.store";

/** Stock in MongoDB. */
export const createInventoryStore = (mongo: Mongo) => ({
  ...createLocationStore(mongo),
  ...createLevelStore(mongo),
  ...createMovementStore(mongo),
  ...createReservationStore(mongo),
  ...createStockWriter(mongo),
  ...createRenameStore(mongo),
});

export type InventoryStore = ReturnType<typeof createInventoryStore>;

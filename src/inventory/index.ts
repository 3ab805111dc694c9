/** The face of inventory: what other features may import. */
export type { InventoryDeps } from "./deps";

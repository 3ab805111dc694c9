import type { ProductDeps } from "../products";
import type { StockCommitter } from "./committer";
import type { InventoryStore } from "./store";

/** What stock keeping asks for. */
export interface InventoryDeps extends ProductDeps {
  inventory: InventoryStore;
  /** Writes every change of stock of this process. */
  stock: StockCommitter;
}

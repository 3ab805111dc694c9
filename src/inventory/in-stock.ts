import { chunksOf } from "../lib/chunks";
import type { InventoryDeps } from "./deps";

/** Signals read in one round. */
const ROUND = 200;
/** SKUs looked at with one query. */
const CHUNK = 500;
/** How often a product that others write at the same moment is tried. */
const TRIES = 20;

/**
 * Writes `inStock` of the products that have these SKUs: true when one of their variants can be had at an
 * active location. A product's `stockRevision` is read before the levels and must still be there at the
 * write, so of two that look at the same moment the one with the older view cannot write last.
 */
async function refreshProducts(deps: InventoryDeps, skuKeys: string[]): Promise<void> {
  for (const chunk of chunksOf(skuKeys, CHUNK)) {
    let left = chunk;
    for (let attempt = 1; left.length > 0; attempt++) {
      if (attempt > TRIES)
        throw new Error(`inStock of ${left.length} SKUs was not written in ${TRIES} tries`);
      const products = await deps.products.stockStates(left);
      const available = await deps.inventory.skusInStock(
        products.flatMap((product) => product.skuKeys ?? []),
      );
      const missed = await deps.products.setInStock(
        products.map((product) => ({
          id: product._id,
          revision: product.stockRevision,
          inStock: (product.skuKeys ?? []).some((skuKey) => available.has(skuKey)),
        })),
      );
      left = missed === 0 ? [] : left;
    }
  }
}

/** Writes `inStock` for every signal that waits. */
export async function settleSignals(deps: InventoryDeps): Promise<void> {
  for (;;) {
    const signals = await deps.inventory.signals(ROUND);
    if (signals.length === 0) return;
    await refreshProducts(deps, [...new Set(signals.flatMap(({ skuKey }) => skuKey ?? []))]);
    for (const productId of signals.flatMap((signal) => signal.productId ?? [])) {
      const product = await deps.products.findById(productId);
      if (product) await refreshProducts(deps, product.skuKeys?.slice(0, 1) ?? []);
    }
    for (const locationId of signals.flatMap((signal) => signal.locationId ?? [])) {
      for (let after: { skuKey: string; locationId: string } | undefined; ; ) {
        const levels = await deps.inventory.listLevels({ locationId, limit: CHUNK - 1, after });
        await refreshProducts(deps, [...new Set(levels.map(({ skuKey }) => skuKey))]);
        after = levels.at(-1);
        if (levels.length < CHUNK) break;
      }
    }
    await deps.inventory.removeSignals(signals.map(({ _id }) => _id));
    if (signals.length < ROUND) return;
  }
}

/** Lets the process that changed stock write `inStock` before it answers, so that most see no delay at all. */
export const watchCrossings = (deps: InventoryDeps): void =>
  deps.stock.onCrossed(async (signals) => {
    try {
      await refreshProducts(
        deps,
        signals.flatMap(({ skuKey }) => skuKey ?? []),
      );
      await deps.inventory.removeSignals(signals.map(({ _id }) => _id));
    } catch (error) {
      // The signals stay, and the next round of any process reads them.
      deps.log.warn({ err: error }, "inStock was not written at once");
    }
  });

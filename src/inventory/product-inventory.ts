import { noProduct } from "../products";
import type { ProductInventoryResponse } from "./answers";
import type { InventoryDeps } from "./deps";
import { toLevel } from "./mapper";

/**
 * The stock of a product's variants: sums of active locations, and of `available` only what a reservation would get,
 * which is nothing of a product that is not active. @throws AppError not_found
 */
export async function productInventory(deps: InventoryDeps, id: string): Promise<ProductInventoryResponse> {
  const product = await deps.products.findById(id);
  if (!product) throw noProduct();
  const skuKeys = product.variants.map(({ skuKey }) => skuKey);
  const [levels, activeIds] = await Promise.all([
    deps.inventory.levelsOf(skuKeys),
    deps.inventory.activeLocationIds(),
  ]);
  const active = new Set(activeIds);
  const bySku = Map.groupBy(levels, ({ skuKey }) => skuKey);
  const isForSale = product.status === "active";
  const variants = product.variants.map(({ _id, sku, skuKey }) => {
    const own = bySku.get(skuKey) ?? [];
    const counted = own.filter(({ locationId }) => active.has(locationId));
    const sum = (of: (level: (typeof own)[number]) => number) =>
      counted.reduce((total, level) => total + of(level), 0);
    return {
      variantId: _id,
      sku,
      onHand: sum(({ onHand }) => onHand),
      reserved: sum(({ reserved }) => reserved),
      available: isForSale ? sum(({ available }) => Math.max(0, available)) : 0,
      levels: own.map(toLevel),
    };
  });
  return { productId: product._id, inStock: variants.some(({ available }) => available > 0), variants };
}

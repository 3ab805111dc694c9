import { invalidInput } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import type { InventoryDeps } from "./deps";

/** The SKU as its product spells it. @throws AppError invalid_input when no living product has it */
export async function knownSku(
  deps: InventoryDeps,
  sku: string,
  path = "sku",
): Promise<{ sku: string; skuKey: string }> {
  const skuKey = canonicalKey(sku);
  const product = await deps.products.findBySku(skuKey);
  const variant = product?.variants.find((candidate) => candidate.skuKey === skuKey);
  if (!variant) throw invalidInput(path, "not_found", "no product has this SKU");
  return { sku: variant.sku, skuKey };
}

/** A SKU whose level at the location exists, or that a product has, so that one can be made. */
export async function stockableSku(deps: InventoryDeps, sku: string, locationId: string, path = "sku") {
  const level = await deps.inventory.findLevelAt(canonicalKey(sku), locationId);
  return level ? { sku: level.sku, skuKey: level.skuKey } : knownSku(deps, sku, path);
}

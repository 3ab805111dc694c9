import { type EntryOfChange, type Manager, managedEntry, mutate } from "../audit";
import type { MongoTx } from "../db/mongo";
import { AppError } from "../lib/errors";
import { type ExpectedVersions, expectVersion } from "../lib/versions";
import { auditDetailOf } from "./audited";
import { slugGivenAway } from "./build";
import type { ProductDeps } from "./deps";
import { noProduct } from "./found";
import type { ProductDocument, VariantDocument } from "./model";
import { signalProduct } from "./stock-signal";

export interface ReplaceOptions {
  /** Who changes it; null for the system. */
  manager: Manager | null;
  /** From If-Match. */
  expected: ExpectedVersions;
  /** Take away variants that have stock too; it stays behind under their SKUs. */
  leaveStock?: boolean | undefined;
  /** How often it is decided anew on what somebody else wrote at the same moment; 1 refuses at once. */
  tries?: number;
  /** Runs in the transaction. */
  record?: (tx: MongoTx, next: ProductDocument) => Promise<void>;
}

/** Somebody else wrote the product between the look-up and the write; nothing of the transaction stays. */
class ChangedMeanwhile extends Error {}

/** A variant whose SKU is another now. */
export interface SkuChange {
  from: string;
  to: Pick<VariantDocument, "sku" | "skuKey">;
}

/** What became of the variants of a product, by their ids. */
function comparedVariants(present: ProductDocument, next: ProductDocument) {
  const now = new Map(next.variants.map((variant) => [variant._id, variant]));
  const renamed: SkuChange[] = [];
  const gone: VariantDocument[] = [];
  for (const before of present.variants) {
    const after = now.get(before._id);
    if (!after) gone.push(before);
    else if (after.sku !== before.sku) {
      renamed.push({ from: before.skuKey, to: { sku: after.sku, skuKey: after.skuKey } });
    }
  }
  return { renamed, gone };
}

/** @throws AppError conflict when one of the variants has stock */
async function refuseStock(deps: ProductDeps, gone: VariantDocument[], tx: MongoTx): Promise<void> {
  const left = await deps.inventory.skuWithStock(
    gone.map(({ skuKey }) => skuKey),
    tx,
  );
  const variant = gone.find(({ skuKey }) => skuKey === left);
  if (!variant) return;
  throw new AppError(
    "conflict",
    `The variant ${variant.sku} has stock. Name it by its id to change its SKU, or say leaveStock=true to take it away.`,
    { members: { sku: variant.sku } },
  );
}

/**
 * Replaces a product by what `decide` makes of it, with its former slug, and the stock of variants whose SKU changed.
 * @param key its id or slug, in canonical form
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists; conflict when a variant with
 * stock would be taken away, or when another SKU has stock of its own
 */
export async function replaceProduct(
  deps: ProductDeps,
  key: string,
  { manager, expected, leaveStock = false, tries = 1, record }: ReplaceOptions,
  decide: (present: ProductDocument) => ProductDocument | Promise<ProductDocument>,
): Promise<ProductDocument> {
  const signalId = deps.random.id();
  const audit = managedEntry(deps, manager, "product.changed");
  for (let attempt = 1; ; attempt++) {
    const present = await deps.products.find(key);
    if (!present) throw noProduct();
    expectVersion(expected, present.version);
    const next = await decide(present);
    const { renamed, gone } = comparedVariants(present, next);
    const result = { ...next, inStock: present.inStock ?? false, picture: present.picture ?? null };
    const write = async (tx: MongoTx, { tell }: EntryOfChange) => {
      // First what is written most: the levels of what is sold.
      if (renamed.length > 0) await deps.inventory.renameSkus(renamed, next.updatedAt, tx);
      if (!(await deps.products.replace(next, present.version, tx))) throw new ChangedMeanwhile();
      await deps.formerSlugs.record(slugGivenAway(present, next), next.updatedAt, tx);
      if (gone.length > 0 && !leaveStock) await refuseStock(deps, gone, tx);
      // Also for a SKU that is taken away: its stock is no longer the product's.
      const skuKeys = [...new Set([...(present.skuKeys ?? []), ...(next.skuKeys ?? [])])];
      await signalProduct(deps, { _id: present._id, skuKeys }, signalId, tx);
      tell(auditDetailOf(result, present));
      return result;
    };
    try {
      return await mutate(deps, "mongo", { audit, record }, write);
    } catch (error) {
      if (!(error instanceof ChangedMeanwhile)) throw error;
    }
    if (expected === undefined && attempt < tries) continue;
    const now = await deps.products.findById(present._id);
    if (!now) throw noProduct();
    expectVersion(expected, now.version);
    throw new AppError("version_conflict", "The product was changed at the same moment. Try again.", {
      members: { currentVersion: now.version },
    });
  }
}

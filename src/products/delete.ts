import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import type { ProductResponse } from "./answers";
import { slugGivenAway } from "./build";
import type { ProductDeps } from "./deps";
import { noProduct } from "./found";
import { toProduct } from "./mapper";
import type { ProductDocument } from "./model";
import { signalProduct } from "./stock-signal";

/**
 * Deletes a product so that it can be restored: its slug and SKUs are free again.
 * @throws AppError not_found, precondition_failed
 */
export async function deleteProduct(
  deps: ProductDeps,
  key: string,
  expected: ExpectedVersions,
): Promise<void> {
  const present = await deps.products.find(key);
  if (!present) throw noProduct();
  expectVersion(expected, present.version);
  const now = deps.clock.now();
  const { slugKey: _s, skuKeys: _k, ...rest } = present;
  const deleted = await deps.mongo.transaction(async (tx) => {
    const next = { ...rest, deletedAt: now, updatedAt: now };
    if (!(await deps.products.replace(next, present.version, tx))) return false;
    await deps.formerSlugs.record(slugGivenAway(present, {}), now, tx);
    return true;
  });
  if (!deleted) {
    const there = await deps.products.findById(present._id);
    if (!there) throw noProduct();
    throw staleVersion(there.version);
  }
}

/**
 * Brings a deleted product back. @throws AppError not_found, conflict when it is not deleted, already_exists when
 * its slug or a SKU was given to another meanwhile
 */
export async function restoreProduct(
  deps: ProductDeps,
  id: string,
  record: RecordAnswer<MongoTx>,
): Promise<ProductResponse> {
  const signalId = deps.random.id();
  const now = deps.clock.now();
  return deps.mongo.transaction(async (tx) => {
    const present = await deps.products.findAny(id, tx);
    if (!present) throw noProduct();
    if (present.deletedAt === null) throw new AppError("conflict", "The product is not deleted.");
    const restored: ProductDocument = {
      ...present,
      slugKey: canonicalKey(present.slug),
      skuKeys: present.variants.map(({ skuKey }) => skuKey),
      deletedAt: null,
      updatedAt: now,
    };
    if (!(await deps.products.replace(restored, present.version, tx))) {
      throw new AppError("conflict", "The product was changed at the same moment. Try again.");
    }
    await signalProduct(deps, restored, signalId, tx);
    const response = toProduct({ ...restored, version: present.version + 1 });
    await record(tx, response);
    return response;
  });
}

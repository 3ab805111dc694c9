import { type Manager, managedEntry, mutate } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError } from "../lib/errors";
import { pageFrom } from "../lib/paging";
import { canonicalKey } from "../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../lib/versions";
import type { DeletedPage, ProductResponse } from "./answers";
import { auditDetailOf } from "./audited";
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
  manager: Manager | null,
  key: string,
  expected: ExpectedVersions,
): Promise<void> {
  const present = await deps.products.find(key);
  if (!present) throw noProduct();
  expectVersion(expected, present.version);
  const now = deps.clock.now();
  const audit = managedEntry(deps, manager, "product.deleted", auditDetailOf(present));
  const { slugKey: _s, skuKeys: _k, ...rest } = present;
  await mutate(deps, "mongo", { audit }, async (tx) => {
    const next = { ...rest, deletedAt: now, deletedBy: manager?.actor.callerId ?? "system", updatedAt: now };
    if (!(await deps.products.replace(next, present.version, tx))) {
      const there = await deps.products.findById(present._id, tx);
      throw there ? staleVersion(there.version) : noProduct();
    }
    await deps.formerSlugs.record(slugGivenAway(present, {}), now, tx);
  });
}

/**
 * Brings a deleted product back. @throws AppError not_found, conflict when it is not deleted, already_exists when
 * its slug or a SKU was given to another meanwhile
 */
export async function restoreProduct(
  deps: ProductDeps,
  manager: Manager | null,
  id: string,
  record: RecordAnswer<MongoTx>,
): Promise<ProductResponse> {
  const signalId = deps.random.id();
  const now = deps.clock.now();
  const audit = managedEntry(deps, manager, "product.restored");
  return mutate(deps, "mongo", { audit, record }, async (tx, { tell }) => {
    const present = await deps.products.findAny(id, tx);
    if (!present) throw noProduct();
    if (present.deletedAt === null) throw new AppError("conflict", "The product is not deleted.");
    const { deletedBy: _, ...rest } = present;
    const restored: ProductDocument = {
      ...rest,
      slugKey: canonicalKey(present.slug),
      skuKeys: present.variants.map(({ skuKey }) => skuKey),
      deletedAt: null,
      updatedAt: now,
    };
    if (!(await deps.products.replace(restored, present.version, tx))) {
      throw new AppError("conflict", "The product was changed at the same moment. Try again.");
    }
    await signalProduct(deps, restored, signalId, tx);
    tell(auditDetailOf(restored));
    return toProduct({ ...restored, version: present.version + 1 });
  });
}

/** A page of deleted products, the last deleted first. @throws AppError invalid_cursor */
export async function listDeleted(
  deps: ProductDeps,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<DeletedPage> {
  const scope = { list: "deleted" };
  const [at, id] = cursor === undefined ? [] : deps.cursors.decode(cursor, scope);
  const after = cursor === undefined ? null : { at: new Date(Number(at)), id: String(id) };
  const rows = await deps.products.listDeleted(after, limit);
  return pageFrom(
    deps,
    rows,
    limit,
    scope,
    ({ _id, name, slug, variants, deletedAt, deletedBy }) => ({
      id: _id,
      name,
      slug,
      skus: variants.map(({ sku }) => sku),
      deletedAt: (deletedAt ?? deps.clock.now()).toISOString(),
      deletedBy: deletedBy ?? null,
    }),
    (last) => [last.deletedAt?.getTime() ?? 0, last._id],
  );
}

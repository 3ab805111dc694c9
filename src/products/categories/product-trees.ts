/** `categoryTree` of products: their categories with all ancestors, so that "in it or below" is one indexed query. */
import type { MongoTx } from "../../db/mongo";
import { after, SECOND } from "../../lib/clock";
import type { ProductDeps } from "../deps";
import type { ProductDocument } from "../model";
import type { CategoryDocument } from "./model";

/** Products whose tree is written in the transaction of a change; a job updates more than these. */
const AT_ONCE = 500;
/** After this a job looks again for products that were written while the tree changed. */
const LOOK_AGAIN = 20 * SECOND;
/** Stored in jobs. */
export const UPDATE_TREES = "categories.replant";

/** Ids of the jobs that a change of the tree may enqueue, made before its transaction, which may run again. */
export interface TreeJobs {
  jobId: string;
  lateJobId: string;
}

export const newTreeJobs = ({ random }: Pick<ProductDeps, "random">): TreeJobs => ({
  jobId: random.id(),
  lateJobId: random.id(),
});

/**
 * Updates the trees of the products below a category: some in this transaction, more by a job. A second job looks again
 * later, for products that were being written while the tree changed.
 */
export async function updateTreesBelow(
  deps: ProductDeps,
  categoryId: string,
  { jobId, lateJobId }: TreeJobs,
  tx: MongoTx,
): Promise<void> {
  const now = deps.clock.now();
  const job = { kind: UPDATE_TREES, payload: { categoryId } };
  const products = await deps.products.below(categoryId, null, AT_ONCE + 1, tx);
  if (products.length <= AT_ONCE) await updateTrees(deps, products, tx);
  else await deps.jobs.mongo.enqueue({ id: jobId, ...job, runAt: now }, tx);
  const late = { ...job, payload: { categoryId, late: true } };
  await deps.jobs.mongo.enqueue({ id: lateJobId, ...late, runAt: after(now, LOOK_AGAIN) }, tx);
}

/** The category fields of a product in these categories, each once, since two ids may stand for one. */
export const placeIn = (categories: CategoryDocument[]) => ({
  categoryIds: [...new Set(categories.map(({ _id }) => _id))],
  categoryTree: [...new Set(categories.flatMap(({ _id, ancestors }) => [...ancestors, _id]))],
});

/**
 * Gives products the ancestors that their categories have now; a merged category is replaced by the one that it was
 * merged into.
 * @returns false when somebody changed one of them since it was read: read it again
 */
export async function updateTrees(
  { categories, products: store }: Pick<ProductDeps, "categories" | "products">,
  products: Pick<ProductDocument, "_id" | "version" | "categoryIds" | "categoryTree">[],
  tx?: MongoTx,
): Promise<boolean> {
  const known = await categories.findByIds(
    [...new Set(products.flatMap(({ categoryIds }) => categoryIds))],
    tx,
  );
  const changes = products.flatMap((product) => {
    // A category that was deleted while the product was put into it is left out.
    const own = product.categoryIds.flatMap((id) => known.get(id) ?? []);
    const { categoryIds: ids, categoryTree: tree } = placeIn(own);
    const edited = ids.join() !== product.categoryIds.join();
    const same =
      tree.length === product.categoryTree.length && tree.every((id) => product.categoryTree.includes(id));
    if (same && !edited) return [];
    const { _id: id, version } = product;
    return [{ id, version, ...(edited ? { categoryIds: ids } : {}), categoryTree: tree }];
  });
  return changes.length === 0 || (await store.setTrees(changes, tx)) === 0;
}

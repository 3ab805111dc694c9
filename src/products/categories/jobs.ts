import { mutate } from "../../audit";
import type { JobHandler } from "../../jobs/runner";
import type { ProductDeps } from "../deps";
import { removeMerged } from "./merge";
import { UPDATE_TREES, updateTrees } from "./product-trees";

/** Products that are read and written together. */
const BATCH = 200;
/** Products that are indexed again together. */
const REINDEXED = 50;

/**
 * Updates the trees of the products below a category, or moves them into the one that it was merged into; the late job of
 * a merge removes the category at the end. Repeatable.
 */
const updateProducts =
  (deps: ProductDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const { categoryId, late } = job.payload as { categoryId: string; late?: boolean };
    for (let last = (job.progress as string | null) ?? null; ; ) {
      signal.throwIfAborted();
      const products = await deps.products.below(categoryId, last, BATCH);
      if (!(await updateTrees(deps, products))) continue;
      if (products.length === BATCH) {
        last = products.at(-1)?._id ?? null;
        await saveProgress(last);
      } else {
        if (late !== true || (await removeMerged(deps, categoryId))) return;
        last = null;
      }
    }
  };

/** Lets the products below a category be found by its new name. Repeatable. */
const reindex =
  (deps: ProductDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const { categoryId } = job.payload as { categoryId: string };
    for (let last = (job.progress as string | null) ?? null; ; ) {
      signal.throwIfAborted();
      const products = await deps.products.below(categoryId, last, REINDEXED);
      const ids = products.map(({ _id }) => _id);
      if (ids.length > 0) await mutate(deps, "mongo", {}, (tx) => deps.products.reindex(ids, tx));
      if (ids.length < REINDEXED) return;
      last = ids.at(-1) ?? null;
      await saveProgress(last);
    }
  };

export const categoryJobs = (deps: ProductDeps): Record<string, JobHandler> => ({
  [UPDATE_TREES]: updateProducts(deps),
  "categories.reindex": reindex(deps),
});

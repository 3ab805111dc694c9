import type { Deps } from "../../deps";
import type { JobHandler } from "../../jobs/runner";
import { plant, removeMerged } from "./service";

/** Products that are read and written together. */
const BATCH = 200;

/**
 * Brings the products below a category up to where it lies now, or into the one that it was merged into; the late
 * job of a merge removes the category at the end. Repeatable: it writes what is true.
 */
const replant =
  (deps: Deps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const { categoryId, late } = job.payload as { categoryId: string; late?: boolean };
    for (let last = (job.progress as string | null) ?? null; ; ) {
      signal.throwIfAborted();
      const products = await deps.products.below(categoryId, last, BATCH);
      if (!(await plant(deps, products))) continue;
      if (products.length === BATCH) {
        last = products.at(-1)?._id ?? null;
        await saveProgress(last);
      } else {
        if (late !== true || (await removeMerged(deps, categoryId))) return;
        last = null;
      }
    }
  };

export const categoryJobs = (deps: Deps): Record<string, JobHandler> => ({
  "categories.replant": replant(deps),
});

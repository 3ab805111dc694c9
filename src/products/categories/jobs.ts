import type { Deps } from "../../deps";
import type { JobHandler } from "../../jobs/runner";
import { plant } from "./service";

/** Products that are read and written together. */
const BATCH = 200;

/** Brings the products below a category up to where it lies now. Repeatable: it writes what is true. */
const replant =
  (deps: Deps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const { categoryId } = job.payload as { categoryId: string };
    for (let last = (job.progress as string | null) ?? null; ; ) {
      signal.throwIfAborted();
      const products = await deps.products.below(categoryId, last, BATCH);
      await plant(deps, products);
      last = products.at(-1)?._id ?? null;
      if (products.length < BATCH || last === null) return;
      await saveProgress(last);
    }
  };

export const categoryJobs = (deps: Deps): Record<string, JobHandler> => ({
  "categories.replant": replant(deps),
});

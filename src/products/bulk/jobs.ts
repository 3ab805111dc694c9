import { type JobHandler, JobRefused } from "../../jobs/runner";
import type { JsonValue } from "../../lib/json";
import type { ProductDeps } from "../deps";
import { exportProducts } from "./export";
import { folderOf, resultOf, sourceOf, TYPES } from "./files";
import { importFile } from "./import-file";
import { MAX_FAULTS } from "./read-job";
import type { ImportProgress } from "./shapes";

const idOf = (payload: unknown): string => (payload as { id: string }).id;

/**
 * Imports the stored file. How far it is is recorded after each batch and each picture; whoever takes the job over goes
 * on there. A dry run has nothing to go on from and begins anew.
 */
const runImport =
  (deps: ProductDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const id = idOf(job.payload);
    const bulk = await deps.bulk.findById(id);
    if (!bulk) throw new JobRefused("it was removed");
    const open = async () => {
      const stored = await deps.storage.get(sourceOf(id));
      if (!stored) throw new JobRefused("its file is gone");
      return stored.body;
    };
    const { format, dryRun, allowRename = false, from } = bulk;
    const resume = dryRun ? undefined : ((job.progress as ImportProgress | null) ?? undefined);
    let kept = (resume?.failed ?? 0) + (resume?.pictures?.failed ?? 0);
    const last = await importFile(
      deps,
      id,
      open,
      { format, dryRun, allowRename, from, resume, signal },
      async (now, faults) => {
        await deps.bulk.addFaults(id, faults.slice(0, Math.max(0, MAX_FAULTS - kept)));
        kept += faults.length;
        await saveProgress({ ...now } as unknown as JsonValue);
      },
    );
    await saveProgress({ ...last } as unknown as JsonValue);
    await deps.bulk.finish(id, { finishedAt: deps.clock.now() });
  };

/** Writes the export into storage, where it is whole or not at all; a later try begins anew. */
const runExport =
  (deps: ProductDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const id = idOf(job.payload);
    const bulk = await deps.bulk.findById(id);
    if (!bulk) throw new JobRefused("it was removed");
    const status = bulk.onlyStatus ?? undefined;
    const total = await deps.products.count(status);
    await saveProgress({ products: 0, total });
    const chunks = exportProducts(deps, { format: bulk.format, status, signal }, (products) =>
      saveProgress({ products, total: Math.max(products, total) }),
    );
    const size = await deps.storage.putStream(resultOf(id), chunks, TYPES[bulk.format]);
    await deps.bulk.finish(id, { finishedAt: deps.clock.now(), size });
  };

/** Removes what has expired or was never recorded: an upload that did not come to its end. */
const clean =
  (deps: ProductDeps): JobHandler =>
  async ({ job }) => {
    const id = idOf(job.payload);
    const bulk = await deps.bulk.findById(id);
    if (bulk && bulk.expiresAt > deps.clock.now()) return;
    await deps.storage.removeAll(folderOf(id));
    await deps.importPictures.remove(id);
    await deps.bulk.remove(id);
  };

export const bulkJobs = (deps: ProductDeps): Record<string, JobHandler> => ({
  "bulk.import": runImport(deps),
  "bulk.export": runExport(deps),
  "bulk.clean": clean(deps),
});

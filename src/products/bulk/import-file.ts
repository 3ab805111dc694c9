import type { ProductDeps } from "../deps";
import { type ImportOptions, importProducts } from "./import";
import { fetchPictures, notePictures } from "./pictures";
import type { Source } from "./read";
import type { ImportFault, ImportProgress } from "./shapes";

/**
 * Imports a file: first its products, then the pictures that it names. Whoever comes after a process that ended in the
 * midst goes on by the progress that was saved last.
 * @param importId names the import: what it has still to fetch is kept under it
 * @param onStep called after each batch of products and each picture; what it saves is good as `resume`
 */
export async function importFile(
  deps: ProductDeps,
  importId: string,
  open: Source,
  options: Omit<ImportOptions, "onPictures">,
  onStep: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
): Promise<ImportProgress> {
  const { resume, dryRun, signal = new AbortController().signal } = options;
  const onPictures = (wishes: Parameters<typeof notePictures>[2]) => notePictures(deps, importId, wishes);
  const progress =
    resume?.stage === "pictures"
      ? resume
      : await importProducts(deps, open, { ...options, onPictures }, onStep);
  if (dryRun || progress.pictures === undefined) return progress;
  return fetchPictures(deps, importId, { progress, signal }, onStep);
}

import type { ProductDeps } from "../deps";
import { checkLine, type GoodLine } from "./check";
import { Importer } from "./importer";
import { readProducts, type Source } from "./read";
import { Repeats } from "./repeats";
import type { Format, ImportFault, ImportProgress, Shop } from "./shapes";

export interface ImportOptions {
  format: Format;
  /** Says what would be done and does nothing. */
  dryRun?: boolean;
  /** Products that are there may get the names and slugs of the file. */
  allowRename?: boolean;
  /** The shop system whose CSV export the file is; begun anew when it was interrupted. */
  from?: Shop | undefined;
  /** Where an earlier try of the same file left off. */
  resume?: ImportProgress | undefined;
  /** Ends the import between two batches. */
  signal?: AbortSignal;
}

const NOTHING: ImportProgress = { rows: 0, bytes: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };

/** Products that are looked up and written together. */
const BATCH = 25;
/** Most names of what a file holds and the import leaves out. */
const MAX_IGNORED = 200;
/** Most characters of what lies in memory together. */
const BATCH_SIZE = 8 * 1024 * 1024;
/**
 * Imports products from NDJSON or CSV as a stream: 25 at a time in memory. What could mean two things is a fault. A product is found by a SKU or
 * its slug, so importing the same file twice changes nothing, and one that was interrupted can go on.
 * @param onBatch called when a batch is written, with the sums so far and the faults of the batch; what it
 * saves is good as `resume`
 */
export async function importProducts(
  deps: ProductDeps,
  open: Source,
  options: ImportOptions,
  onBatch: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
): Promise<ImportProgress> {
  const { from, signal } = options;
  // Products of such a file are not in the order of its rows; what is there already is unchanged.
  const resume = from === undefined ? (options.resume ?? NOTHING) : NOTHING;
  const progress = { ...resume };
  const importer = new Importer(deps, options.dryRun === true, options.allowRename === true);
  const repeats = new Repeats();
  let bytes = 0;
  const ignored: Record<string, number> = {};
  const onIgnored = (what: string) => {
    const name = Object.keys(ignored).length < MAX_IGNORED || Object.hasOwn(ignored, what) ? what : "more";
    ignored[name] = (ignored[name] ?? 0) + 1;
  };
  const other =
    from === undefined ? undefined : { shop: from, currency: deps.config.defaultCurrency, onIgnored };
  const onChunk = (length: number) => {
    bytes += length;
  };
  // In the order of the file, so that its faults are told in that order.
  let pending: (GoodLine | ImportFault[])[] = [];
  let keys = new Set<string>();
  let size = 0;
  let row = resume.rows;
  const flush = async () => {
    signal?.throwIfAborted();
    const items = pending;
    pending = [];
    keys = new Set();
    size = 0;
    const results = await importer.run(items.filter((item): item is GoodLine => !Array.isArray(item)));
    const faults: ImportFault[] = [];
    let next = 0;
    for (const item of items) {
      const result = Array.isArray(item) ? item : (results[next++] ?? []);
      if (typeof result === "string") progress[result]++;
      else {
        progress.failed++;
        faults.push(...result);
      }
    }
    progress.rows = row;
    if (other) progress.ignored = { ...ignored };
    progress.bytes = Math.max(progress.bytes, bytes);
    await onBatch({ ...progress }, faults);
    if (options.dryRun !== true) await deps.search.maintain();
  };
  for await (const read of readProducts(options.format, open, onChunk, other)) {
    const told = read.value !== undefined || read.fault !== undefined ? checkLine(read) : undefined;
    const repeated = told === undefined || Array.isArray(told) ? undefined : repeats.note(told);
    if (read.last <= resume.rows) continue;
    if (told !== undefined) {
      const checked = repeated ?? told;
      if (!Array.isArray(checked)) {
        const own = [
          ...checked.skuKeys,
          ...(checked.slugKey === undefined ? [] : [`slug ${checked.slugKey}`]),
        ];
        // A product that comes twice is changed twice, in the order of the file.
        if (own.some((key) => keys.has(key))) await flush();
        for (const key of own) keys.add(key);
      }
      pending.push(checked);
      size += read.size;
    }
    row = Math.max(row, read.last);
    if (pending.length >= BATCH || size >= BATCH_SIZE) await flush();
  }
  await flush();
  return progress;
}

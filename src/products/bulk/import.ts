import type { ProductDeps } from "../deps";
import { checkLine, type GoodLine } from "./check";
import { Importer } from "./importer";
import { readProducts, type Source } from "./read";
import { Repeats } from "./repeats";
import type { Format, ImportFault, ImportProgress, ReadLine, Shop } from "./shapes";
import { countFault, type PictureWish, sampleOf, wishesOf } from "./told";

export interface ImportOptions {
  format: Format;
  /** Says what would be done and does nothing. */
  dryRun?: boolean;
  /** Products that are there may get the names and slugs of the file. */
  allowRename?: boolean;
  /** The shop system whose CSV export the file is. */
  from?: Shop | undefined;
  /** Where an earlier try of the same file left off. */
  resume?: ImportProgress | undefined;
  /** Ends the import between two batches. */
  signal?: AbortSignal;
  /** Products of a batch, and how many batches are under way side by side. */
  batches?: { size: number; atOnce: number };
  /**
   * Hears of the pictures of products that were written, before their batch counts as done.
   * @returns how many of them the products have already
   */
  onPictures?: (wishes: PictureWish[]) => Promise<number>;
}

const NOTHING: ImportProgress = { rows: 0, bytes: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };

/** Fewer would be slower by the way to the database and back, more would be long transactions. */
const BATCHES = { size: 100, atOnce: 3 };
/** Most SKUs of them: a transaction has its time. */
const MOST_KEYS = 1000;
/** Most names of what a file holds and the import leaves out. */
const MAX_IGNORED = 200;
/** Told and not refused: other shops take such prices too, and show no reduction. */
const NO_REDUCTION = "compare-at prices that are not above the price, which show no reduction";
/** Products that a dry run shows. */
const MAX_SAMPLES = 10;
/** Most characters of what lies in memory together. */
const BATCH_SIZE = 8 * 1024 * 1024;

type Results = Awaited<ReturnType<Importer["write"]>>;

/** A batch that is under way. */
interface Batch {
  /** SKUs and slugs of its products. */
  keys: Set<string>;
  /** Fulfilled when it is written, and recorded behind those before it. */
  recorded: Promise<void>;
}

/** What is told of a batch when it is done. */
interface Place {
  row: number;
  lines: number;
  bytes: number;
  ignored: Record<string, number>;
}

/**
 * One import: lines are gathered into batches. Some batches are written side by side while the next is read and decided
 * on; they are recorded in their order, so that an import which ends in the midst goes on behind what is done.
 */
class Import {
  readonly progress: ImportProgress;
  readonly #importer: Importer;
  readonly #repeats = new Repeats();
  readonly #ignored: Record<string, number> = {};
  // In the order of the file, so that its faults are told in that order.
  #pending: (GoodLine | ImportFault[])[] = [];
  #keys = new Set<string>();
  #size = 0;
  #row: number;
  #lines = 0;
  #unreduced: number;
  bytes = 0;
  #deciding: Promise<unknown> = Promise.resolve();
  #recording: Promise<void> = Promise.resolve();
  #underway: Batch[] = [];
  readonly #batches: typeof BATCHES;

  constructor(
    readonly deps: ProductDeps,
    readonly options: ImportOptions,
    readonly onBatch: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
  ) {
    this.progress = structuredClone(options.resume ?? NOTHING);
    this.#row = this.progress.rows;
    this.#unreduced = this.progress.ignored?.[NO_REDUCTION] ?? 0;
    this.#batches = options.batches ?? BATCHES;
    this.#importer = new Importer(deps, options.dryRun === true, options.allowRename === true);
  }

  onIgnored = (what: string): void => {
    const counts = this.#ignored;
    const name = Object.keys(counts).length < MAX_IGNORED || Object.hasOwn(counts, what) ? what : "more";
    counts[name] = (counts[name] ?? 0) + 1;
  };

  /** Whether an earlier try did this line. Products of another shop's file are not in the order of its rows. */
  #isDone(read: ReadLine): boolean {
    const { resume, from } = this.options;
    if (resume === undefined) return false;
    return from === undefined ? read.last <= resume.rows : this.#lines <= (resume.lines ?? 0);
  }

  /** Takes a line. @throws what the batch before could not be written for */
  async take(read: ReadLine): Promise<void> {
    this.#lines++;
    const told = read.value !== undefined || read.fault !== undefined ? checkLine(read) : undefined;
    const repeated = told === undefined || Array.isArray(told) ? [] : this.#repeats.note(told);
    if (this.#isDone(read)) return;
    if (told !== undefined) {
      const checked = Array.isArray(told)
        ? told
        : Array.isArray(repeated)
          ? repeated
          : { ...told, isFirst: repeated };
      if (!Array.isArray(checked)) {
        const { skuKeys, slugKey } = checked;
        const own = [...skuKeys, ...(slugKey === undefined ? [] : [`slug ${slugKey}`])];
        // A product that comes twice is changed twice, in the order of the file.
        if (own.some((key) => this.#keys.has(key))) await this.flush();
        for (const key of own) this.#keys.add(key);
      }
      this.#pending.push(checked);
      this.#size += read.size;
    }
    this.#row = Math.max(this.#row, read.last);
    if (
      this.#pending.length >= this.#batches.size ||
      this.#keys.size >= MOST_KEYS ||
      this.#size >= BATCH_SIZE
    )
      await this.flush();
  }

  /** Begins with what was gathered, when there is a place for it. */
  async flush(): Promise<void> {
    const [items, keys] = [this.#pending, this.#keys];
    this.#pending = [];
    this.#keys = new Set();
    this.#size = 0;
    const place = { row: this.#row, lines: this.#lines, bytes: this.bytes, ignored: { ...this.#ignored } };
    // A product that is being written is decided on as it is then.
    const shared = this.#underway.filter((batch) => [...keys].some((key) => batch.keys.has(key)));
    for (const { recorded } of shared) await recorded;
    const good = items.filter((item): item is GoodLine => !Array.isArray(item));
    // One after the other: a dry run remembers what earlier lines would have made.
    const decided = this.#deciding.then(() => this.#importer.decide(good));
    this.#deciding = decided.catch(() => undefined);
    const written = decided.then((ready) => {
      this.options.signal?.throwIfAborted();
      return this.#importer.write(ready);
    });
    const recorded = this.#recording.then(async () => this.#record(items, good, await written, place));
    this.#recording = recorded;
    // Failures are told by whoever waits for them, which may be later.
    for (const promise of [written, recorded]) promise.catch(() => undefined);
    this.#underway.push({ keys, recorded });
    while (this.#underway.length >= this.#batches.atOnce) await this.#underway.shift()?.recorded;
  }

  /** Writes the rest. */
  async end(): Promise<void> {
    await this.flush();
    await this.#recording;
    if (this.options.dryRun !== true) await this.deps.search.finish();
  }

  /** Waits until nothing is being written any more, however it ends. */
  async settle(): Promise<void> {
    await Promise.allSettled([
      this.#deciding,
      ...this.#underway.map(({ recorded }) => recorded),
      this.#recording,
    ]);
  }

  async #record(
    items: (GoodLine | ImportFault[])[],
    lines: GoodLine[],
    results: Results,
    at: Place,
  ): Promise<void> {
    const { deps, options, progress } = this;
    const faults = this.#count(items, results);
    await this.#tellPictures(lines, results);
    progress.rows = at.row;
    progress.bytes = Math.max(progress.bytes, at.bytes);
    if (options.from !== undefined) progress.lines = at.lines;
    progress.ignored = { ...at.ignored };
    if (this.#unreduced > 0) progress.ignored[NO_REDUCTION] = this.#unreduced;
    await this.onBatch(structuredClone(progress), faults);
    if (options.dryRun !== true) deps.search.maintain();
  }

  /** Counts what became of lines. @returns the faults */
  #count(items: (GoodLine | ImportFault[])[], results: Results): ImportFault[] {
    const { progress } = this;
    const faults: ImportFault[] = [];
    let next = 0;
    for (const item of items) {
      const result = Array.isArray(item) ? item : (results[next++] ?? []);
      if (Array.isArray(result)) {
        progress.failed++;
        faults.push(...result);
        continue;
      }
      progress[result.outcome]++;
      const { product } = result;
      if (product?.variants.some(({ price, compareAtPrice: was }) => was !== null && was <= price)) {
        this.#unreduced++;
      }
      if (this.options.dryRun !== true || product === undefined) continue;
      progress.samples ??= [];
      if (progress.samples.length < MAX_SAMPLES) {
        progress.samples.push(sampleOf(result.outcome, product, item as GoodLine));
      }
    }
    if (faults.length > 0) progress.kinds ??= [];
    for (const fault of faults) countFault(progress.kinds ?? [], fault);
    return faults;
  }

  /** Hands on the pictures of what was written. */
  async #tellPictures(lines: GoodLine[], results: Results): Promise<void> {
    const wishes = lines.flatMap((line, index) => {
      const result = results[index];
      const product = result === undefined || Array.isArray(result) ? undefined : result.product;
      return product === undefined ? [] : wishesOf(line, product);
    });
    if (wishes.length === 0) return;
    this.progress.pictures ??= { found: 0, there: 0, added: 0, failed: 0 };
    const { pictures } = this.progress;
    pictures.found += wishes.length;
    if (this.options.dryRun !== true) pictures.there += (await this.options.onPictures?.(wishes)) ?? 0;
  }
}

/**
 * Imports products from NDJSON or CSV as a stream: a few batches at a time in memory. What could mean two things is a
 * fault. A product is found by a SKU or its slug, so importing the same file twice changes nothing, and one that was
 * interrupted can go on.
 * @param onBatch called when a batch is written, with the sums so far and the faults of the batch; what it
 * saves is good as `resume`
 */
export async function importProducts(
  deps: ProductDeps,
  open: Source,
  options: ImportOptions,
  onBatch: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
): Promise<ImportProgress> {
  const run = new Import(deps, options, onBatch);
  const { from } = options;
  const other =
    from === undefined
      ? undefined
      : {
          shop: from,
          currency: deps.config.defaultCurrency,
          now: deps.clock.now(),
          onIgnored: run.onIgnored,
        };
  const onChunk = (length: number) => {
    run.bytes += length;
  };
  // Or the first server that starts would make the index of these products anew.
  if (options.dryRun !== true) await deps.search.begin();
  try {
    for await (const read of readProducts(options.format, open, onChunk, other)) await run.take(read);
    await run.end();
  } catch (error) {
    await run.settle();
    throw error;
  }
  return run.progress;
}

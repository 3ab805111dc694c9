/** Moves search documents into segments, and small segments into larger ones. */
import type { MongoTx } from "../../db/mongo";
import { chunksOf } from "../../lib/chunks";
import type { Clock } from "../../lib/clock";
import type { Random } from "../../lib/random";
import type { Logger } from "../../telemetry/log";
import type { CategoryDocument } from "../categories/model";
import type { ProductDocument } from "../model";
import { SegmentBuilder, tieOf } from "./builder";
import { countWords, usesOf, type WordCounts } from "./count-words";
import type { ReadDocument } from "./documents.store";
import { INDEX_FORMAT, type ManifestDocument, type SegmentEntry, UNSEEN } from "./model";
import { BLOCK, deadBits } from "./segments.store";
import type { IndexStore } from "./store";

/** Most products of a segment, which bounds the memory that building one takes. */
const MOST_PRODUCTS = 8192;
/** Most changed products that one round takes up, unless it is told otherwise. */
const MOST_RECENT = 2048;
/** A segment is rebuilt together with smaller ones that are not much smaller. */
const GROWTH = 3;
/** How long whoever reads a segment may go on after it was replaced, in milliseconds. */
const GRACE = 60_000;
/** How long work on segments holds off others, in milliseconds. */
const LEASE = 120_000;
/** Documents read at once. */
const READ = 128;

/** Every id of a segment with its ordinal, those that are gone left out. */
async function idsOf(store: IndexStore, entry: SegmentEntry): Promise<string[]> {
  const bits = deadBits(entry);
  const ids: string[] = [];
  const blocks = Array.from({ length: Math.ceil(entry.count / BLOCK) }, (_, index) => index);
  for (const some of chunksOf(blocks, 8)) {
    const places = some.map((block) => ({ segment: entry.id, ordinal: block * BLOCK }));
    const read = await store.segments.listed("ids", places, false);
    for (const block of some) {
      for (const [index, id] of (read.get(`${entry.id}.ids.${block}`) ?? []).entries()) {
        if (!bits.has(block * BLOCK + index)) ids.push(id);
      }
    }
  }
  return ids;
}

/** Which segments are rebuilt together with so many new products: all that are not much larger than what there is. */
function absorbed(segments: SegmentEntry[], fresh: number): SegmentEntry[] {
  const chosen: SegmentEntry[] = [];
  let size = fresh;
  for (const entry of segments.toSorted((a, b) => a.count - a.deadCount - (b.count - b.deadCount))) {
    const living = entry.count - entry.deadCount;
    const worn = entry.deadCount > entry.count / 3;
    if ((living > size * GROWTH && !worn) || size + living > MOST_PRODUCTS) continue;
    chosen.push(entry);
    size += living;
  }
  return chosen;
}

/**
 * Puts products into a new segment in the order of their ids. Few of them are in memory at a time.
 * @param onDocument called with each that is for sale
 * @returns the segment, or null when none is for sale
 */
async function build(
  store: IndexStore,
  id: string,
  ids: string[],
  onDocument: (document: ReadDocument) => void,
): Promise<SegmentEntry | null> {
  const builder = new SegmentBuilder();
  const sorted = ids.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  for (const part of chunksOf(sorted, READ)) {
    for (const document of await store.documents.read({ after: null, limit: READ, ids: part })) {
      if (!document.live) continue;
      builder.add(document);
      onDocument(document);
    }
  }
  return builder.ids.length === 0 ? null : store.segments.write(id, builder);
}

/** Whoever works on the segments of an index, and what is asked of the world outside. */
export interface Worker {
  store: IndexStore;
  clock: Clock;
  random: Random;
}

/** What the engine needs from outside. */
export interface BuiltinOptions extends Worker {
  store: IndexStore;
  log: Pick<Logger, "warn">;
  categoriesOf(ids: string[]): Promise<Map<string, CategoryDocument>>;
  /** Gives every product, some at a time, to a function within a transaction in which they were read. */
  eachProduct(
    onPage: (products: ProductDocument[], tx: MongoTx) => Promise<void>,
    onDone: (count: number) => void,
  ): Promise<void>;
  countProducts(): Promise<number>;
}

/** Runs work on segments that no other process works on meanwhile. @returns undefined when one does */
async function withLease<T>(
  { store, clock, random }: Worker,
  work: (manifest: ManifestDocument, holder: string, renew: () => Promise<boolean>) => Promise<T>,
): Promise<T | undefined> {
  const holder = random.id();
  const renew = async () => {
    const now = clock.now().getTime();
    return (await store.segments.takeLease(holder, now, now + LEASE))?.lease?.holder === holder;
  };
  const now = clock.now().getTime();
  const manifest = await store.segments.takeLease(holder, now, now + LEASE);
  if (!manifest) return undefined;
  try {
    return await work(manifest, holder, renew);
  } finally {
    await store.segments.releaseLease(holder);
  }
}

/**
 * Takes changed products into a segment: first a segment with them is written, then the manifest names it and marks
 * their older copies, then the documents are said to be in it unless they changed again. Whenever it is ended, what was
 * not finished is still read from the documents.
 * @param most products that it takes up
 * @returns how many products were taken up; 0 when there are fewer than `least`, or another process is at it
 */
export async function compact(worker: Worker, least: number, most = MOST_RECENT): Promise<number> {
  const { store, clock, random } = worker;
  return (
    (await withLease(worker, async (manifest, holder) => {
      const changed = await store.documents.changedSince(manifest.epoch, most);
      if (changed.length < Math.max(1, least)) return 0;
      const stamps = new Map(changed.map(({ id, stamp }) => [id, stamp]));
      // At most so many are for sale.
      const chosen = absorbed(manifest.segments, changed.length);
      const ids = [...stamps.keys()];
      for (const entry of chosen) ids.push(...(await idsOf(store, entry)).filter((id) => !stamps.has(id)));
      const counts: WordCounts = new Map();
      const built = await build(store, random.id(), ids, (document) => {
        // One that was written again meanwhile counts when that is taken up.
        if (stamps.get(document._id) === document.stamp) countWords(counts, document, false);
      });
      const made = built ? [built] : [];
      const rest = manifest.segments.filter((entry) => !chosen.includes(entry));
      const segments = [...(await buryIn(store, rest, stamps)), ...made];
      const now = clock.now().getTime();
      const old = manifest.retired.filter(({ at }) => at < now - GRACE);
      const retired = [
        ...manifest.retired.filter((one) => !old.includes(one)),
        ...chosen.map((entry) => ({ id: entry.id, at: now })),
      ];
      if (!(await store.segments.publish(holder, manifest.epoch, { segments, retired }))) {
        await store.segments.remove(made.map((entry) => entry.id));
        return 0;
      }
      await store.documents.settle(changed, manifest.epoch + 1);
      await store.words.addCounts(counts);
      await store.segments.remove(old.map((one) => one.id));
      return changed.length;
    })) ?? 0
  );
}

/** Marks the copies of changed products in segments that stay. */
async function buryIn(
  store: IndexStore,
  segments: SegmentEntry[],
  changed: Map<string, unknown>,
): Promise<SegmentEntry[]> {
  const ties = new Set([...changed.keys()].map(tieOf));
  const buried: SegmentEntry[] = [];
  for (const entry of segments) {
    const [segment] = await store.segments.read([entry], [], ["rank"]);
    const dead = deadBits(entry);
    const before = dead.size;
    for (let ordinal = 0; ordinal < entry.count; ordinal++) {
      if (ties.has(segment?.columns.tie[ordinal] as number)) dead.add(ordinal);
    }
    buried.push(dead.size === before ? entry : store.segments.withDead(entry, dead));
  }
  return buried;
}

/**
 * Rebuilds all segments from the search documents, with the counts of all words.
 * @param onProgress called with how many documents are done
 */
export async function rebuildSegments(worker: Worker, onProgress: (done: number) => void): Promise<boolean> {
  const { store, clock, random } = worker;
  const rebuilt = await withLease(worker, async (manifest, holder, renew) => {
    const began = clock.now().getTime();
    const counts: WordCounts = new Map();
    const segments: SegmentEntry[] = [];
    const read: { id: string; stamp: string }[] = [];
    let done = 0;
    let builder = new SegmentBuilder();
    const finish = async () => {
      if (builder.ids.length > 0) segments.push(await store.segments.write(random.id(), builder));
      builder = new SegmentBuilder();
    };
    for (let after: string | null = null; ; ) {
      const documents: ReadDocument[] = await store.documents.read({ after, limit: READ });
      for (const document of documents) {
        done++;
        if (document.epoch > manifest.epoch || document.epoch === UNSEEN)
          read.push({ id: document._id, stamp: document.stamp });
        if (!document.live) continue;
        builder.add(document);
        countWords(counts, document, true);
      }
      onProgress(done);
      if (builder.ids.length >= MOST_PRODUCTS - READ) await finish();
      if (documents.length < READ) break;
      after = documents.at(-1)?._id ?? null;
      if (!(await renew())) return false;
    }
    await finish();
    const now = clock.now().getTime();
    const retired = [...manifest.retired, ...manifest.segments.map(({ id }) => ({ id, at: now }))];
    if (
      !(await store.segments.publish(holder, manifest.epoch, { segments, retired, format: INDEX_FORMAT }))
    ) {
      await store.segments.remove(segments.map(({ id }) => id));
      return false;
    }
    await store.documents.settle(read, manifest.epoch + 1);
    await store.words.setCounts(counts, now);
    await dropWords(store, counts, began);
    // Whoever was killed while writing segments left parts that no manifest names.
    const named = new Set([...segments, ...retired].map(({ id }) => id));
    await store.segments.remove((await store.segments.ids()).filter((id) => !named.has(id)));
    // What was written meanwhile may rest on words that went.
    for (const document of await store.documents.read({
      after: null,
      limit: MOST_RECENT,
      since: manifest.epoch + 1,
    })) {
      await store.words.add(usesOf([document]), now);
    }
    return true;
  });
  return rebuilt === true;
}

/** Rewrites the popularity of the products of every segment from the search documents. */
export async function refreshPopularity(worker: Worker): Promise<void> {
  const { store } = worker;
  await withLease(worker, async ({ segments, retired, epoch }, holder) => {
    const fresh: SegmentEntry[] = [];
    for (const entry of segments) {
      const values: number[] = [];
      for (let ordinal = 0; ordinal < entry.count; ordinal += BLOCK) {
        const places = [{ segment: entry.id, ordinal }];
        const ids = (await store.segments.listed("ids", places, false)).get(
          `${entry.id}.ids.${ordinal / BLOCK}`,
        );
        const known = await store.documents.popularityOf(ids ?? []);
        for (const one of ids ?? []) values.push(known.get(one) ?? 0);
      }
      fresh.push(await store.segments.setPopularity(entry, values));
    }
    await store.segments.publish(holder, epoch, { segments: fresh, retired });
  });
}

/** Removes words that no product has any more. */
async function dropWords(store: IndexStore, counts: WordCounts, before: number): Promise<void> {
  for (let after = ""; ; ) {
    const words = await store.words.after(after, 1000, before);
    await store.words.remove(words.filter((word) => !counts.has(word)));
    if (words.length < 1000) return;
    after = words.at(-1) as string;
  }
}

/** Segments: immutable postings and columns of many products, and the manifest that says which of them count. */
import mongoose from "mongoose";
import { duplicateKey, type Mongo } from "../../db/mongo";
import { type Columns, NO_COLUMNS, type ReadSegment, type SegmentBuilder, viewOf } from "./builder";
import { ByteCache } from "./cache";
import { packNumbers } from "./columns";
import {
  bytesOf,
  type Head,
  type ManifestDocument,
  type PartDocument,
  type SegmentEntry,
  searchManifestModel,
  searchPartModel,
  type WordChanges,
} from "./model";
import { columnParts, columnsOf, GROUPS, type Group, postingsOf, readerOf, type Sized } from "./parts";
import { hashOf } from "./segment";

const { Binary } = mongoose.mongo;

/** About how many terms share a document of postings. */
const TERMS_OF_BUCKET = 16;
/** Ids, or names, in one document. */
export const BLOCK = 256;
/** Documents written at once. */
const BATCH = 200;

/** The document that a term's postings are in. */
const bucketOf = ({ id, buckets }: SegmentEntry, term: string): string =>
  `${id}.${hashOf(term) & (buckets - 1)}`;

/** Which products of a segment are gone, by ordinal. */
export function deadBits(entry: SegmentEntry): Set<number> {
  const bits = bytesOf(entry.dead);
  const dead = new Set<number>();
  for (let ordinal = 0; ordinal < entry.count; ordinal++) {
    if (((bits[ordinal >> 3] as number) >> (ordinal & 7)) & 1) dead.add(ordinal);
  }
  return dead;
}

const NO_SEGMENTS: ManifestDocument = {
  _id: "manifest",
  epoch: 0,
  segments: [],
  retired: [],
  lease: null,
};

/** Stands for the postings of a term that a segment does not have. */
const NOWHERE = Symbol("no postings");

/** Memory for parts of segments, in bytes. They never change once written, so that they are never stale. */
const CACHE = 32 * 2 ** 20;

const hiddenOf = (entry: SegmentEntry): Uint8Array => {
  const hidden = new Uint8Array(entry.count);
  for (const ordinal of deadBits(entry)) hidden[ordinal] = 1;
  return hidden;
};

export const createSegmentStore = (mongo: Mongo) => {
  const Manifests = searchManifestModel(mongo.connection);
  const Parts = searchPartModel(mongo.connection);
  const cache = new ByteCache(CACHE);
  let cachedEpoch = -1;

  /** Forgets parts of segments that were replaced. A key begins with its segment's id. */
  const forgetReplaced = ({ epoch, segments }: ManifestDocument): void => {
    // An older answer may come later.
    if (epoch <= cachedEpoch) return;
    cachedEpoch = epoch;
    const living = new Set(segments.map(({ id }) => id));
    cache.keepOnly((key) => living.has(/^[^.:]+/.exec(key)?.[0] ?? ""));
  };

  const readParts = async (ids: string[]): Promise<PartDocument[]> =>
    ids.length === 0
      ? []
      : ((await Parts.collection
          .find({ _id: { $in: ids as never[] } }, { batchSize: 10_000, promoteBuffers: false })
          .toArray()) as unknown as PartDocument[]);

  /** Makes the manifest of an index that nothing was done with yet. */
  const ensureManifest = async (): Promise<void> => {
    const { _id, ...empty } = NO_SEGMENTS;
    try {
      await Manifests.collection.updateOne(
        { _id: _id as never },
        { $setOnInsert: empty as never },
        { upsert: true },
      );
    } catch (error) {
      // Another process made it at the same moment.
      if (duplicateKey(error) === undefined) throw error;
    }
  };

  return {
    async head(): Promise<Head> {
      const rows = await Manifests.collection
        .find({ _id: { $in: ["manifest", "words"] as never[] } })
        .toArray();
      const stored = rows.find(({ _id }) => String(_id) === "manifest");
      const manifest = (stored as unknown as ManifestDocument | undefined) ?? NO_SEGMENTS;
      forgetReplaced(manifest);
      const words = rows.find(({ _id }) => String(_id) === "words") as Partial<WordChanges> | undefined;
      const { version = 0, additions = 0, added = [] } = words ?? {};
      return { manifest, words: { version, additions, added } };
    },

    /** Writes a segment. Nobody reads it until the manifest names it. */
    async write(id: string, builder: SegmentBuilder): Promise<SegmentEntry> {
      const count = builder.ids.length;
      const buckets =
        2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, builder.postings.size) / TERMS_OF_BUCKET)));
      const parts: PartDocument[] = [];
      let size = 0;
      const flush = async (least: number) => {
        if (parts.length === 0 || (parts.length < BATCH && size < least)) return;
        await Parts.collection.insertMany(parts.splice(0) as never[], { ordered: false });
        size = 0;
      };
      const add = async (name: string, fields: Record<string, unknown>, bytes: number) => {
        parts.push({ _id: `${id}.${name}`, segment: id, ...fields });
        size += bytes;
        await flush(2 ** 20);
      };
      const terms = new Map<number, string[]>();
      for (const term of builder.postings.terms()) {
        const bucket = hashOf(term) & (buckets - 1);
        const list = terms.get(bucket);
        if (list) list.push(term);
        else terms.set(bucket, [term]);
      }
      for (const [bucket, list] of terms) {
        const data = list.map((term) => builder.postings.of(term));
        await add(
          String(bucket),
          { terms: list, data: data.map((bytes) => new Binary(bytes)) },
          data.reduce((sum, { length }) => sum + length, 0),
        );
      }
      const columns = builder.columns();
      for (const [group, { numbers, lists }] of Object.entries(GROUPS)) {
        const fields: Record<string, unknown> = {};
        for (const name of numbers)
          fields[name] = new Binary(packNumbers(columns[name] as ArrayLike<number>));
        for (const name of lists) fields[name] = columns[name as keyof Columns];
        await add(group, fields, count * 16);
      }
      for (let from = 0; from < count; from += BLOCK) {
        await add(`ids.${from / BLOCK}`, { list: builder.ids.slice(from, from + BLOCK) }, BLOCK * 50);
        await add(`names.${from / BLOCK}`, { list: builder.nameKeys.slice(from, from + BLOCK) }, BLOCK * 100);
      }
      await flush(0);
      return { id, count, buckets, dead: new Binary(new Uint8Array(Math.ceil(count / 8))), deadCount: 0 };
    },

    /** A segment with these products gone. */
    withDead(entry: SegmentEntry, dead: Set<number>): SegmentEntry {
      const bits = new Uint8Array(Math.ceil(entry.count / 8));
      for (const ordinal of dead) bits[ordinal >> 3] = (bits[ordinal >> 3] as number) | (1 << (ordinal & 7));
      return { ...entry, dead: new Binary(bits), deadCount: dead.size };
    },

    /** Reads what a search needs of segments: in one go what is not in memory. */
    async read(entries: SegmentEntry[], terms: string[], groups: Group[]): Promise<ReadSegment[]> {
      const missing = new Set<string>();
      const found = new Map<string, unknown>();
      const look = (key: string, part: string) => {
        const value = cache.get(key);
        if (value === undefined) missing.add(part);
        else found.set(key, value);
      };
      for (const entry of entries) {
        for (const part of columnParts(entry, groups)) look(part, part);
        for (const term of terms) look(`${entry.id}:${term}`, bucketOf(entry, term));
      }
      const keep = (key: string, { value, bytes }: Sized) => found.set(key, cache.set(key, value, bytes));
      const wanted = new Set(terms);
      for (const row of await readParts([...missing])) {
        if (!Array.isArray(row.terms)) keep(row._id, columnsOf(row));
        else
          for (const [index, term] of row.terms.entries())
            if (wanted.has(term)) keep(`${row.segment}:${term}`, postingsOf((row.data as unknown[])[index]));
      }
      return entries.map((entry) => {
        const stored = new Map<string, Uint8Array>();
        for (const term of terms) {
          const key = `${entry.id}:${term}`;
          const value = found.get(key) ?? cache.set(key, NOWHERE, key.length + 50);
          if (value !== NOWHERE) stored.set(term, value as Uint8Array);
        }
        const columns = Object.assign(
          { ...NO_COLUMNS },
          ...columnParts(entry, groups).map((part) => found.get(part)),
        );
        const key = `${entry.id}.dead.${entry.deadCount}`;
        const hidden = cache.get<Uint8Array>(key) ?? cache.set(key, hiddenOf(entry), entry.count);
        return viewOf(entry.id, entry.count, readerOf(stored), columns, hidden);
      });
    },

    /**
     * Ids, or names in the form for sorting, by segment and ordinal.
     * @param keep false for whoever walks through all of a segment, and would fill the memory for parts of them
     */
    async listed(
      what: "ids" | "names",
      places: { segment: string; ordinal: number }[],
      keep = true,
    ): Promise<Map<string, string[]>> {
      const lists = new Map<string, string[]>();
      const missing: string[] = [];
      for (const { segment, ordinal } of places) {
        const key = `${segment}.${what}.${Math.floor(ordinal / BLOCK)}`;
        const list = cache.get<string[]>(key);
        if (list) lists.set(key, list);
        else missing.push(key);
      }
      for (const { _id, list } of await readParts([...new Set(missing)])) {
        lists.set(_id, list as string[]);
        if (keep) cache.set(_id, list, BLOCK * (what === "ids" ? 64 : 128));
      }
      return lists;
    },

    /** Says that all that is indexed has a format. */
    async setFormat(format: number): Promise<void> {
      await ensureManifest();
      await Manifests.collection.updateOne({ _id: "manifest" as never }, { $set: { format } as never });
    },

    /** Takes the lease of work on segments, unless another holds it. @returns the manifest, or null */
    async takeLease(holder: string, now: number, until: number): Promise<ManifestDocument | null> {
      await ensureManifest();
      const taken = await Manifests.collection.findOneAndUpdate(
        {
          _id: "manifest" as never,
          $or: [{ lease: null }, { "lease.until": { $lt: now } }, { "lease.holder": holder }],
        },
        { $set: { lease: { holder, until } } },
        { returnDocument: "after" },
      );
      return taken as unknown as ManifestDocument | null;
    },

    async releaseLease(holder: string): Promise<void> {
      await Manifests.collection.updateOne(
        { _id: "manifest" as never, "lease.holder": holder },
        { $set: { lease: null } },
      );
    },

    /** Makes segments what the index consists of, if nobody else changed it. @returns whether it did */
    async publish(
      holder: string,
      epoch: number,
      next: Pick<ManifestDocument, "segments" | "retired" | "format">,
    ): Promise<boolean> {
      const { matchedCount } = await Manifests.collection.updateOne(
        { _id: "manifest" as never, epoch, "lease.holder": holder },
        { $set: { ...next, epoch: epoch + 1 } as never },
      );
      return matchedCount === 1;
    },

    async remove(ids: string[]): Promise<void> {
      if (ids.length > 0) await Parts.collection.deleteMany({ segment: { $in: ids } });
    },

    /** Segments of which there are parts: also those that a killed process left. */
    ids: async (): Promise<string[]> => (await Parts.collection.distinct("segment")) as string[],

    /** Rewrites the popularity of a segment's products. @returns the entry that reads it, once it is published */
    async setPopularity(entry: SegmentEntry, values: number[]): Promise<SegmentEntry> {
      const version = (entry.popularity ?? 0) + 1;
      const part = (number: number) => `${entry.id}.popularity.${number}`;
      await Parts.collection.replaceOne(
        { _id: part(version) as never },
        { segment: entry.id, popularity: new Binary(packNumbers(values)) },
        { upsert: true },
      );
      // The one before may still be read.
      await Parts.collection.deleteOne({ _id: part(version - 2) as never });
      return { ...entry, popularity: version };
    },
  };
};

export type SegmentStore = ReturnType<typeof createSegmentStore>;

/** Segments: immutable postings and columns of many products, and the manifest that says which of them count. */
import mongoose from "mongoose";
import type { Mongo } from "../../db/mongo";
import { type Columns, type ReadSegment, type SegmentBuilder, viewOf } from "./builder";
import { packNumbers, unpackNumbers } from "./columns";
import {
  bytesOf,
  type ManifestDocument,
  type PartDocument,
  type SegmentEntry,
  searchManifestModel,
  searchPartModel,
} from "./model";

const { Binary } = mongoose.mongo;

/** About how many terms share a document of postings. */
const TERMS_OF_BUCKET = 16;
/** Ids, or names, in one document. */
export const BLOCK = 256;
/** Documents written at once. */
const BATCH = 200;

/** FNV-1a: which bucket a term is in. */
function hashOf(term: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < term.length; index++)
    hash = Math.imul(hash ^ term.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** Which products of a segment are gone, by ordinal. */
export function deadBits(entry: SegmentEntry): Set<number> {
  const bits = bytesOf(entry.dead);
  const dead = new Set<number>();
  for (let ordinal = 0; ordinal < entry.count; ordinal++) {
    if (((bits[ordinal >> 3] as number) >> (ordinal & 7)) & 1) dead.add(ordinal);
  }
  return dead;
}

const NO_COLUMNS: Columns = {
  price: new Uint8Array(),
  created: new Uint8Array(),
  stock: new Uint8Array(),
  brand: new Uint8Array(),
  brands: [],
  tree: new Uint8Array(),
  trees: [],
  attrStart: new Uint8Array(),
  attr: new Uint8Array(),
  attrs: [],
  popularity: new Uint8Array(),
  tie: new Uint8Array(),
  kind: new Uint8Array(),
  kinds: [],
};

/** The columns of a segment that belong together, each group in a document. */
const GROUPS = {
  rank: { numbers: ["popularity", "tie", "kind"], lists: ["kinds"] },
  labels: { numbers: ["brand", "tree"], lists: ["brands", "trees"] },
  facets: { numbers: ["price", "stock", "attrStart", "attr"], lists: ["attrs"] },
  created: { numbers: ["created"], lists: [] },
} as const satisfies Record<string, { numbers: (keyof Columns)[]; lists: (keyof Columns)[] }>;
export type Group = keyof typeof GROUPS;

export const createSegmentStore = (mongo: Mongo) => {
  const Manifests = searchManifestModel(mongo.connection);
  const Parts = searchPartModel(mongo.connection);
  return {
    async manifest(): Promise<ManifestDocument> {
      const manifest = await Manifests.collection.findOne({ _id: "manifest" as never });
      return (
        (manifest as unknown as ManifestDocument | null) ?? {
          _id: "manifest",
          epoch: 0,
          segments: [],
          retired: [],
          lease: null,
        }
      );
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
      for (const term of builder.postings.keys()) {
        const bucket = hashOf(term) & (buckets - 1);
        const list = terms.get(bucket);
        if (list) list.push(term);
        else terms.set(bucket, [term]);
      }
      for (const [bucket, list] of terms) {
        const data = list.map((term) => builder.postings.get(term)?.done() as Uint8Array);
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

    /** Reads what a search needs of segments, in one go. */
    async read(entries: SegmentEntry[], terms: string[], groups: Group[]): Promise<ReadSegment[]> {
      const ids = entries.flatMap(({ id, buckets }) => [
        ...new Set(terms.map((term) => `${id}.${hashOf(term) & (buckets - 1)}`)),
        ...groups.map((group) => `${id}.${group}`),
      ]);
      const wanted = new Set(terms);
      const rows = await Parts.collection
        .find({ _id: { $in: ids as never[] } }, { batchSize: 10_000, promoteBuffers: false })
        .toArray();
      const data = new Map(entries.map(({ id }) => [id, new Map<string, Uint8Array>()]));
      const columns = new Map(entries.map(({ id }) => [id, { ...NO_COLUMNS }]));
      for (const row of rows as unknown as PartDocument[]) {
        if (Array.isArray(row.terms)) {
          for (const [index, term] of row.terms.entries()) {
            if (wanted.has(term)) data.get(row.segment)?.set(term, bytesOf((row.data as unknown[])[index]));
          }
          continue;
        }
        const into = columns.get(row.segment) as Record<string, unknown> | undefined;
        const group = GROUPS[row._id.slice(row.segment.length + 1) as Group];
        if (!into || !group) continue;
        for (const name of group.numbers) into[name] = unpackNumbers(bytesOf(row[name]));
        for (const name of group.lists) into[name] = row[name];
      }
      return entries.map(({ id, count, dead }) => {
        const bits = bytesOf(dead);
        const hidden = new Uint8Array(count);
        for (let ordinal = 0; ordinal < count; ordinal++) {
          hidden[ordinal] = ((bits[ordinal >> 3] as number) >> (ordinal & 7)) & 1;
        }
        return viewOf(id, count, data.get(id) as Map<string, Uint8Array>, columns.get(id) as Columns, hidden);
      });
    },

    /** Ids, or names in the form for sorting, by segment and ordinal. */
    async listed(
      what: "ids" | "names",
      places: { segment: string; ordinal: number }[],
    ): Promise<Map<string, string[]>> {
      const keys = [
        ...new Set(places.map(({ segment, ordinal }) => `${segment}.${what}.${Math.floor(ordinal / BLOCK)}`)),
      ];
      if (keys.length === 0) return new Map();
      const rows = await Parts.collection
        .find({ _id: { $in: keys as never[] } }, { batchSize: 10_000 })
        .toArray();
      return new Map((rows as unknown as PartDocument[]).map((row) => [row._id, row.list as string[]]));
    },

    /** Says that all that is indexed has a format. */
    async setFormat(format: number): Promise<void> {
      await Manifests.collection.updateOne({ _id: "manifest" as never }, { $set: { format } as never });
    },

    /** Takes the lease of work on segments, unless another holds it. @returns the manifest, or null */
    async takeLease(holder: string, now: number, until: number): Promise<ManifestDocument | null> {
      await Manifests.collection.updateOne(
        { _id: "manifest" as never },
        { $setOnInsert: { epoch: 0, segments: [], retired: [], lease: null } as never },
        { upsert: true },
      );
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

    /** Writes the popularity of a segment's products anew. */
    async setPopularityColumn(segment: string, values: number[]): Promise<void> {
      await Parts.collection.updateOne(
        { _id: `${segment}.rank` as never },
        { $set: { popularity: new Binary(packNumbers(values)) } as never },
      );
    },
  };
};

export type SegmentStore = ReturnType<typeof createSegmentStore>;

/** The index in MongoDB: search documents, words, segments. */
import mongoose from "mongoose";
import type { Mongo, MongoTx } from "../../db/mongo";
import { duplicateKeys } from "../../db/mongo";
import { type Columns, type ReadSegment, type SegmentBuilder, viewOf } from "./builder";
import { packNumbers, unpackNumbers } from "./columns";
import { mistakesIn, neighbourhood } from "./distance";
import type { NewSearchDocument, WordUse } from "./document";
import {
  type ManifestDocument,
  type PartDocument,
  type QueryDocument,
  RECENT,
  type SearchDocument,
  type SegmentEntry,
  searchDocumentModel,
  searchManifestModel,
  searchPartModel,
  searchQueryModel,
  searchWordModel,
  UNSEEN,
  type WordDocument,
} from "./model";
import type { Lexicon, LexiconEntry } from "./query";
import { stemOf } from "./text";

const { Binary } = mongoose.mongo;

/** Lengths of the beginnings that words are looked up by; longer ones are looked for among those of the longest. */
const SHORTEST = 2;
const LONGEST = 6;
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

const prefixesOf = (word: string): string[] => {
  const characters = [...word];
  return Array.from(
    { length: Math.max(0, Math.min(LONGEST, characters.length) - SHORTEST + 1) },
    (_, index) => characters.slice(0, SHORTEST + index).join(""),
  );
};

const bytesOf = (value: unknown): Uint8Array =>
  value instanceof Binary ? value.buffer.subarray(0, value.position) : (value as Uint8Array);

/** Which products of a segment are gone, by ordinal. */
export function deadBits(entry: SegmentEntry): Set<number> {
  const bits = bytesOf(entry.dead);
  const dead = new Set<number>();
  for (let ordinal = 0; ordinal < entry.count; ordinal++) {
    if (((bits[ordinal >> 3] as number) >> (ordinal & 7)) & 1) dead.add(ordinal);
  }
  return dead;
}

/** A search document as it is read, with its bytes. */
export type ReadDocument = Omit<SearchDocument, "packed"> & { packed: Uint8Array };
const readDocument = (document: SearchDocument): ReadDocument => ({
  ...document,
  packed: bytesOf(document.packed),
});

/** The document of a word. */
const wordDocument = ({ surface, made, named, behindNumber }: WordUse, since: number): WordDocument => ({
  _id: surface,
  stem: made ? "" : stemOf(surface),
  count: 1,
  named: named ? 1 : 0,
  behindNumber: behindNumber ? 1 : 0,
  made,
  since,
  ...(named && !made ? lookedUpBy(surface) : {}),
});

/** What a word that products are named with is found by. */
export const lookedUpBy = (surface: string) => ({
  prefixes: prefixesOf(surface),
  near: mistakesIn(surface) === 0 ? [] : neighbourhood(surface, mistakesIn(surface)),
});

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

export const createIndexStore = (mongo: Mongo) => {
  const Documents = searchDocumentModel(mongo.connection);
  const Words = searchWordModel(mongo.connection);
  const Manifests = searchManifestModel(mongo.connection);
  const Parts = searchPartModel(mongo.connection);
  const Queries = searchQueryModel(mongo.connection);

  const entryOf = ({ _id, count, named, behindNumber, made }: WordDocument): LexiconEntry => ({
    surface: _id,
    count,
    named,
    behindNumber,
    made,
  });

  /** Words by the index of their beginnings or neighbourhoods. */
  const wordsBy = async (filter: object, limit: number) =>
    (
      await Words.collection
        .find(filter, { projection: { stem: 0, prefixes: 0, near: 0, since: 0 }, sort: { count: -1 }, limit })
        .toArray()
    ).map((word) => entryOf(word as unknown as WordDocument));

  const lexicon: Lexicon = {
    async find(surfaces, stems) {
      const known = stems.filter((stem) => stem !== "");
      const words = await Words.collection
        .find(
          known.length === 0
            ? { _id: { $in: surfaces as never[] } }
            : { $or: [{ _id: { $in: surfaces as never[] } }, { stem: { $in: known } }] },
          { projection: { stem: 0, prefixes: 0, near: 0, since: 0 } },
        )
        .toArray();
      return words.map((word) => entryOf(word as unknown as WordDocument));
    },
    async startingWith(prefix, limit, made) {
      if (made) {
        const words = await Words.collection
          .find({ _id: { $gte: prefix, $lt: `${prefix}\u{10ffff}` } as never, made: true }, { limit: 200 })
          .toArray();
        return words.map((word) => entryOf(word as unknown as WordDocument)).slice(0, limit * 10);
      }
      const characters = [...prefix];
      if (characters.length < SHORTEST) return [];
      const words = await wordsBy(
        { prefixes: characters.slice(0, LONGEST).join("") },
        characters.length > LONGEST ? 200 : limit,
      );
      return words.filter(({ surface }) => surface.startsWith(prefix)).slice(0, limit);
    },
    near: (members, limit) => wordsBy({ near: { $in: members } }, limit),
  };

  return {
    lexicon,

    /** Adds the words that are not there. Not part of a transaction: a word too many harms nobody. */
    async addWords(uses: Map<string, WordUse>, since: number): Promise<void> {
      const words = [...uses.keys()];
      const known = new Map(
        (
          await Words.collection
            .find({ _id: { $in: words as never[] } }, { projection: { named: 1, made: 1 } })
            .toArray()
        ).map((word) => [String(word._id), word as unknown as WordDocument]),
      );
      const missing = words
        .filter((word) => !known.has(word))
        .map((word) => wordDocument(uses.get(word) as WordUse, since));
      if (missing.length > 0) {
        await Words.collection.insertMany(missing as never[], { ordered: false }).catch((error) => {
          // Somebody else added some of them at the same moment.
          if (!duplicateKeys(error)) throw error;
        });
      }
      // Known from a description, or as a join, and now the name of something.
      const risen = words.filter((word) => {
        const entry = known.get(word);
        const use = uses.get(word) as WordUse;
        return entry && use.named && !use.made && (entry.named === 0 || entry.made);
      });
      if (risen.length === 0) return;
      await Words.collection.bulkWrite(
        risen.map((word) => ({
          updateOne: {
            filter: { _id: word as never },
            update: { $set: { made: false, stem: stemOf(word), ...lookedUpBy(word) }, $max: { named: 1 } },
          },
        })),
        { ordered: false },
      );
    },

    /** Writes search documents in the transaction of their products. */
    async put(
      documents: (NewSearchDocument & { inStock: boolean })[],
      tx: MongoTx | undefined,
      isNew: boolean,
    ): Promise<void> {
      if (documents.length === 0) return;
      const stored = documents.map((document) => ({ ...document, packed: new Binary(document.packed) }));
      if (isNew) {
        await Documents.collection.insertMany(
          stored.map((document) => ({ ...document, stockRevision: 0 })) as never[],
          mongo.in(tx),
        );
        return;
      }
      await Documents.collection.bulkWrite(
        stored.map(({ _id, inStock, epoch, ...document }) => ({
          updateOne: {
            filter: { _id: _id as never },
            // One that is made anew without a change stays where it is, recent or in a segment.
            update: {
              $set: epoch === UNSEEN ? document : { ...document, epoch },
              $setOnInsert: { inStock, stockRevision: 0, ...(epoch === UNSEEN ? { epoch } : {}) },
            } as object,
            upsert: true,
          },
        })),
        mongo.in(tx),
      );
    },

    /** Writes what the products' own `inStock` is, unless a newer look at it was written already. */
    async setInStock(
      states: { id: string; inStock: boolean; revision: number }[],
      stamp: string,
    ): Promise<void> {
      if (states.length === 0) return;
      const older = (revision: number) => ({
        $or: [{ stockRevision: { $lt: revision } }, { stockRevision: null }],
      });
      await Documents.collection.bulkWrite(
        states.flatMap(({ id, inStock, revision }) => [
          {
            updateOne: {
              filter: { _id: id as never, inStock: !inStock, ...older(revision) },
              update: { $set: { inStock, stockRevision: revision, stamp, epoch: RECENT } },
            },
          },
          {
            updateOne: {
              filter: { _id: id as never, inStock, ...older(revision) },
              update: { $set: { stockRevision: revision } },
            },
          },
        ]) as never[],
        { ordered: true },
      );
    },

    /** Writes popularity, which segments keep in a column of its own. */
    async setPopularity(changes: { id: string; popularity: number }[], tx?: MongoTx): Promise<void> {
      if (changes.length === 0) return;
      await Documents.collection.bulkWrite(
        changes.map(({ id, popularity }) => ({
          updateOne: { filter: { _id: id as never }, update: { $set: { popularity } } },
        })),
        { ordered: false, ...mongo.in(tx) },
      );
    },

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

    /** Ids of what changed since an epoch, a limited number of them. */
    async changedSince(epoch: number, limit: number): Promise<string[]> {
      const rows = await Documents.collection
        .find({ epoch: { $gt: epoch } }, { projection: { _id: 1 }, limit })
        .toArray();
      return rows.map(({ _id }) => String(_id));
    },

    /** What changed since an epoch and has one of these terms, or one of these ids. */
    async recentWith(epoch: number, terms: string[], ids: string[]): Promise<ReadDocument[]> {
      const asked =
        ids.length === 0
          ? { terms: { $in: terms } }
          : { $or: [{ terms: { $in: terms } }, { _id: { $in: ids as never[] } }] };
      const rows = await Documents.collection
        .find({ epoch: { $gt: epoch }, live: true, ...asked }, { sort: { _id: 1 }, batchSize: 10_000 })
        .toArray();
      return (rows as unknown as SearchDocument[]).map(readDocument);
    },

    /** Documents in the order of their ids. */
    async documents(filter: {
      after: string | null;
      limit: number;
      since?: number;
      ids?: string[];
    }): Promise<ReadDocument[]> {
      const rows = await Documents.collection
        .find(
          {
            ...(filter.since === undefined ? {} : { epoch: { $gt: filter.since } }),
            ...(filter.ids === undefined ? {} : { _id: { $in: filter.ids as never[] } }),
            ...(filter.after === null ? {} : { _id: { $gt: filter.after as never } }),
          },
          { sort: filter.since === undefined ? { _id: 1 } : { epoch: 1, _id: 1 }, limit: filter.limit },
        )
        .toArray();
      return (rows as unknown as SearchDocument[]).map(readDocument);
    },

    /** Live products that have this SKU or GTIN. */
    async withCode(codes: string[]): Promise<string[]> {
      const rows = await Documents.collection
        .find({ codes: { $in: codes }, live: true }, { projection: { _id: 1 }, limit: 20, sort: { _id: 1 } })
        .toArray();
      return rows.map(({ _id }) => String(_id));
    },

    /** Says that segments hold these as they were read; what was written since stays recent. */
    async settle(read: { id: string; stamp: string }[], epoch: number): Promise<void> {
      for (let from = 0; from < read.length; from += BATCH) {
        await Documents.collection.bulkWrite(
          read.slice(from, from + BATCH).map(({ id, stamp }) => ({
            updateOne: { filter: { _id: id as never, stamp }, update: { $set: { epoch } } },
          })),
          { ordered: false },
        );
      }
    },

    /** Writes a segment. Nobody reads it until the manifest names it. */
    async writeSegment(id: string, builder: SegmentBuilder): Promise<SegmentEntry> {
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
    async readSegments(entries: SegmentEntry[], terms: string[], groups: Group[]): Promise<ReadSegment[]> {
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
      next: Pick<ManifestDocument, "segments" | "retired">,
    ): Promise<boolean> {
      const { matchedCount } = await Manifests.collection.updateOne(
        { _id: "manifest" as never, epoch, "lease.holder": holder },
        { $set: { ...next, epoch: epoch + 1 } as never },
      );
      return matchedCount === 1;
    },

    async removeSegments(ids: string[]): Promise<void> {
      if (ids.length > 0) await Parts.collection.deleteMany({ segment: { $in: ids } });
    },

    /** Segments of which there are parts, for finding what a killed process left. */
    segmentIds: async (): Promise<string[]> => (await Parts.collection.distinct("segment")) as string[],

    /** Writes the popularity of a segment's products anew. */
    async setPopularityColumn(segment: string, values: number[]): Promise<void> {
      await Parts.collection.updateOne(
        { _id: `${segment}.rank` as never },
        { $set: { popularity: new Binary(packNumbers(values)) } as never },
      );
    },

    popularityOf: async (ids: string[]): Promise<Map<string, number>> =>
      new Map(
        (
          await Documents.collection
            .find({ _id: { $in: ids as never[] } }, { projection: { popularity: 1 } })
            .toArray()
        ).map((row) => [String(row._id), row.popularity as number]),
      ),

    /** Counts words anew, or adds to what was counted. */
    async countWords(
      counts: Map<string, WordUse & { count: number; namedCount: number; behindCount: number }>,
      how: "set" | "add",
      since: number,
    ): Promise<void> {
      const entries = [...counts.values()];
      for (let from = 0; from < entries.length; from += BATCH * 2) {
        await Words.collection.bulkWrite(
          entries.slice(from, from + BATCH * 2).map(({ surface, made, count, namedCount, behindCount }) => {
            const numbers = { count, named: namedCount, behindNumber: behindCount };
            const fixed = {
              stem: made ? "" : stemOf(surface),
              made,
              ...(namedCount > 0 && !made ? lookedUpBy(surface) : {}),
            };
            return {
              updateOne: {
                filter: { _id: surface as never },
                update: (how === "add"
                  ? { $inc: numbers }
                  : { $set: { ...numbers, ...fixed }, $setOnInsert: { since } }) as object,
                upsert: how === "set",
              },
            };
          }),
          { ordered: false },
        );
      }
    },

    /** Words from behind one on, for looking which are still used. */
    async wordsAfter(after: string, limit: number, before: number): Promise<string[]> {
      const rows = await Words.collection
        .find(
          { _id: { $gt: after as never }, since: { $lt: before } },
          { projection: { _id: 1 }, sort: { _id: 1 }, limit },
        )
        .toArray();
      return rows.map(({ _id }) => String(_id));
    },

    async removeWords(words: string[]): Promise<void> {
      if (words.length > 0) await Words.collection.deleteMany({ _id: { $in: words as never[] } });
    },

    async removeDocuments(ids: string[]): Promise<void> {
      if (ids.length > 0) await Documents.collection.deleteMany({ _id: { $in: ids as never[] } });
    },

    async recordQuery(query: QueryDocument): Promise<void> {
      await Queries.collection.insertOne(query as never);
    },

    async findQuery(id: string): Promise<QueryDocument | null> {
      return (await Queries.collection.findOne({ _id: id as never })) as unknown as QueryDocument | null;
    },
  };
};

export type IndexStore = ReturnType<typeof createIndexStore>;

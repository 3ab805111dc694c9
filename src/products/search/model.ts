/** Collections of the search: all but curation and queries are derived from products and can be rebuilt. */
import { mongo } from "mongoose";
import { modelOf, schemaOf } from "../../db/model";
import type { JsonValue } from "../../lib/json";

/** A product as it is searched, written in the transaction of its change. */
export interface SearchDocument {
  _id: string;
  /** Active and not deleted; others stay here so that a segment's copy of them is known to be old. */
  live: boolean;
  /** Changes with each write, so that what was read in between is noticed. */
  stamp: string;
  /**
   * The epoch of the index since which segments hold it as it is here. Greater than the index's own epoch: not in a
   * segment yet, or changed since, and read from here.
   */
  epoch: number;
  /** Its terms; the entries of `packed` are in the same order. */
  terms: string[];
  packed: mongo.Binary;
  head: string;
  targeted: boolean;
  /** SKUs, also without their separators, and GTINs in canonical form: the query that is one of them finds it first. */
  codes: string[];
  brandKey: string | null;
  brand: string | null;
  categoryIds: string[];
  categoryTree: string[];
  /** Stems of what its own categories are called. */
  categoryHeads: string[];
  /** `attrKeys` of the product, each with its key and value as they are shown. */
  attrs: [attrKey: string, key: string, value: string][];
  price: number;
  /** Of the price; absent on what a version before format 2 wrote. */
  currency: string;
  createdAt: number;
  nameKey: string;
  popularity: number;
  inStock: boolean;
}

/** Epoch of what is in no segment. */
export const RECENT = Number.MAX_SAFE_INTEGER;
/** Epoch of what a rebuild added: no search sees it until segments hold it. */
export const UNSEEN = -1;

const documentSchema = schemaOf<SearchDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_documents", versionKey: false, strict: false },
)
  .index({ epoch: 1, _id: 1 })
  .index({ codes: 1 })
  .index({ categoryTree: 1, _id: 1 });

/** A word of the index: for typing mistakes, beginnings and forms. */
export interface WordDocument {
  _id: string;
  stem: string;
  /** Products that had it when they were counted. */
  count: number;
  named: number;
  behindNumber: number;
  made: boolean;
  /** Its first two to six characters; only of words that a product is named with. */
  prefixes?: string[];
  /** What is left of it with characters taken out; only of such words. */
  near?: string[];
  /** Since when it is here, in milliseconds. */
  since: number;
}

const wordSchema = schemaOf<WordDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_words", versionKey: false, strict: false },
)
  .index({ stem: 1 })
  .index({ prefixes: 1, count: -1 })
  .index({ near: 1 });

/** One immutable part of the index: which products it holds is in `search_postings`. */
export interface SegmentEntry {
  id: string;
  count: number;
  /** Number of posting documents, a power of two. */
  buckets: number;
  /** A bit for each product that is gone or is elsewhere by now. */
  dead: mongo.Binary;
  deadCount: number;
  /** How often the popularity of its products was rewritten; absent before the first time. */
  popularity?: number;
}

/** A word that was added to the index. */
export interface AddedWord {
  word: string;
  /** Whether it is found by its beginning or by what it may be mistyped as, too. */
  lookedUp: boolean;
}

/** How the words of the index have changed. */
export interface WordChanges {
  /** Raised by every change. */
  version: number;
  /** How often a word was added. Each raised the version by one as well. */
  additions: number;
  /** The last of the added words, the newest at the end. */
  added: AddedWord[];
}

/** What a search reads first: which segments there are, and how the words have changed. */
export interface Head {
  manifest: ManifestDocument;
  words: WordChanges;
}

/**
 * Form of what is indexed of a product. Raise it with every change of that (terms, weights, columns): the first process
 * that starts after the upgrade has the index rebuilt while the shop is open.
 */
export const INDEX_FORMAT = 3;

/** What the index consists of: one document, which changes as a whole. */
export interface ManifestDocument {
  _id: "manifest";
  /** `INDEX_FORMAT` of the last rebuild; absent before the first. */
  format?: number;
  epoch: number;
  segments: SegmentEntry[];
  /** Segments that nobody should be reading any more, to be removed after a while. */
  retired: { id: string; at: number }[];
  /** Whoever works on segments, until when: no other does meanwhile. */
  lease: { holder: string; until: number } | null;
}

const manifestSchema = schemaOf<ManifestDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_index", versionKey: false, strict: false },
);

/** Part of a segment: postings of some terms, or columns. `_id` is the segment's id, a dot and the part's name. */
export interface PartDocument {
  _id: string;
  segment: string;
  [field: string]: unknown;
}

const partSchema = schemaOf<PartDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_postings", versionKey: false, strict: false },
).index({ segment: 1 });

/** A search that was made: its cursor rests on it, and clicks and orders name it. */
export interface QueryDocument {
  _id: string;
  q: string;
  at: Date;
  total: number;
  expiresAt: Date;
  /** The engine's own, for later pages. Absent when there are none. */
  state?: JsonValue;
}

const querySchema = schemaOf<QueryDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_queries", versionKey: false, strict: false },
)
  .index({ expiresAt: 1 }, { expireAfterSeconds: 0 })
  .index({ total: 1, at: -1 });

/** A text that was searched for without result. `_id` is its form for comparing. */
export interface UnansweredDocument {
  _id: string;
  /** As it was typed last. */
  q: string;
  count: number;
  firstAt: Date;
  at: Date;
  expiresAt: Date;
}

const unansweredSchema = schemaOf<UnansweredDocument>(
  { _id: { type: String, required: true } },
  { collection: "search_unanswered", versionKey: false, strict: false },
)
  .index({ expiresAt: 1 }, { expireAfterSeconds: 0 })
  .index({ count: -1, _id: 1 });

// Read and written with the driver's own calls; the models are for the collections' indexes.
export const searchDocumentModel = modelOf("SearchDocument", documentSchema);
export const searchWordModel = modelOf("SearchWord", wordSchema);
export const searchManifestModel = modelOf("SearchManifest", manifestSchema);
export const searchPartModel = modelOf("SearchPart", partSchema);
export const searchQueryModel = modelOf("SearchQuery", querySchema);
export const unansweredModel = modelOf("SearchUnanswered", unansweredSchema);

export const SEARCH_MODELS = [
  searchDocumentModel,
  searchWordModel,
  searchManifestModel,
  searchPartModel,
  searchQueryModel,
  unansweredModel,
] as const;

/** The bytes of a binary field. */
export const bytesOf = (value: unknown): Uint8Array =>
  value instanceof mongo.Binary ? value.buffer.subarray(0, value.position) : (value as Uint8Array);

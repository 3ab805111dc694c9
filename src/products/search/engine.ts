/**
 * What a search engine does for the shop. The built-in one is `builtin.ts`; `engine.contract.test.ts` says by tests what
 * any other must do, docs/search.md in words.
 */
import type { MongoTx } from "../../db/mongo";
import type { JsonValue } from "../../lib/json";
import type { ProductFilter, SortName } from "../filters";
import type { ProductDocument } from "../model";
import type { Synonyms } from "./plan";

/** What is searched for. Text is text: no character of it is an operator but quotes and a leading minus. */
export interface SearchRequest {
  text: string;
  /** Of active products; whatever else it says. */
  filter: ProductFilter;
  /** Undefined: the best first. */
  sort: { name: SortName; descending: boolean } | undefined;
  limit: number;
  /** Where the page before this ended, as `next` of its result gave it. */
  after: JsonValue[] | null;
  /** `state` of the result of the first page, so that later ones are in the same order; null on the first. */
  state: JsonValue;
  facets: boolean;
  synonyms: Synonyms;
  /** Products that come first, in this order, if the filter lets them through. */
  pinned: string[];
  /** Products that are not shown. */
  hidden: string[];
}

/** How many products have a value. */
export interface FacetValue {
  value: string;
  count: number;
}

/**
 * Counts over all products that fit. What a facet's own filter chooses does not narrow its own counts, so that the other
 * choices beside it still show what they would find.
 */
export interface Facets {
  /** `gte` above 10,000 products: at least so many. */
  relation: "eq" | "gte";
  brand: (FacetValue & { name: string })[];
  /** By id of the category; products below it are counted in. */
  category: FacetValue[];
  /** Both ends belong to the range; null is open. Amounts of one currency follow each other. */
  price: { currency: string; from: number | null; to: number | null; count: number }[];
  attributes: { key: string; values: FacetValue[] }[];
  inStock: { value: boolean; count: number }[];
}

export interface SearchResult {
  /** Ids of products, in their order. */
  ids: string[];
  next: JsonValue[] | null;
  /** What later pages need to be in the same order as this one, whatever changes meanwhile. */
  state: JsonValue;
  total: { value: number; relation: "eq" | "gte" };
  facets: Facets | undefined;
  /** What the answer rests on instead of what was typed; null when nothing had to be taken for something else. */
  corrected: string | null;
  /** Words, in the form of `wordsOf`, that made products fit: what is marked in their texts. */
  matched: string[];
}

export interface Suggestions {
  queries: string[];
  /** Ids of products. */
  products: string[];
  brands: { value: string; name: string }[];
  /** Ids of categories. */
  categories: string[];
}

/** What an engine made ready of products, for their `put`; its own affair. */
export type Prepared = { readonly prepared: unknown };

export interface SearchEngine {
  /**
   * Does what a `put` of these products needs outside of its transaction, so that the transaction is short. They may be
   * put without.
   */
  prepare(products: ProductDocument[]): Promise<Prepared>;
  /**
   * Takes products as they are now, within the transaction of their change: after it they are found as they are, or no
   * longer found. An engine elsewhere writes an entry of an outbox here and sends it afterwards.
   * @param isNew none of them was there before
   * @param prepared of the same products as they are
   */
  put(
    products: ProductDocument[],
    tx: MongoTx | undefined,
    isNew: boolean,
    prepared?: Prepared,
  ): Promise<void>;
  /** Takes what `inStock` is; `revision` grows with each look at the stock. */
  setInStock(states: { id: string; inStock: boolean; revision: number }[]): Promise<void>;
  /** Takes popularity, which ranks products that fit alike; from `refreshPopularity` on searches go by it. */
  setPopularity(changes: { id: string; popularity: number }[], tx?: MongoTx): Promise<void>;
  /** Makes searches rank by what `setPopularity` wrote, without reindexing. */
  refreshPopularity(): Promise<void>;
  /**
   * @param isFirst whether it is the first page, which has no `state`
   * @param rest of the request; the index is looked at while it is still being found out
   */
  search(text: string, isFirst: boolean, rest: Promise<Omit<SearchRequest, "text">>): Promise<SearchResult>;
  /** Ways to go on from what was typed so far, without products that are hidden. */
  suggest(text: string, limit: number, hidden: string[]): Promise<Suggestions>;
  /**
   * Rebuilds the index from the products, while it is searched and written.
   * @param onProgress called with how many of how many products are done
   */
  rebuild(onProgress: (done: number, all: number) => void): Promise<void>;
  /** Before the first product of a shop: an index that holds nothing is one of this version. */
  begin(): Promise<void>;
  /** Whether the index was built by a version that indexed differently, or never: `rebuild` mends it. */
  isOutdated(): Promise<boolean>;
  /** For whoever writes many products, between two writes: begins to bring the index in order when there is much to do. */
  maintain(): void;
  /** For whoever has written many products: brings the index in order. */
  finish(): Promise<void>;
}

/** What is told of every change of a product, in its transaction. */
export type ProductIndex = Pick<SearchEngine, "put" | "setInStock">;

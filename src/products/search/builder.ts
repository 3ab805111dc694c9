/** Builds a segment from search documents in the order of their ids, and reads one. */
import { createHash } from "node:crypto";
import type { TermEntry } from "./analyse";
import type { Numbers } from "./columns";
import type { SegmentView } from "./match";
import type { SearchDocument } from "./model";
import { type Postings, PostingsWriter } from "./segment";

/** What a column's entries stand for, each once. */
class Numbered<T> {
  readonly list: T[] = [];
  readonly #numbers = new Map<string, number>();

  of(key: string, make: () => T): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.list.push(make()) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** Products of one head and the same categories, and how many of them say what they are for. */
export interface KindCount {
  head: string;
  categories: string[];
  categoryIds: string[];
  count: number;
  targeted: number;
}

/** What facets, filters and sorts need of each product, by its ordinal. */
export interface Columns {
  price: Numbers;
  /** Places in `currencies`, plus one; 0, or none at all, where it is not known. */
  currency: Numbers;
  currencies: string[];
  created: Numbers;
  stock: Numbers;
  /** Places in `brands`, plus one; 0 for none. */
  brand: Numbers;
  brands: [key: string, shown: string][];
  /** Places in `trees`. */
  tree: Numbers;
  trees: string[][];
  /** Where the attributes of each begin in `attr`, and at the end where the last ones end. */
  attrStart: Numbers;
  attr: Numbers;
  attrs: [attrKey: string, key: string, value: string][];
  popularity: Numbers;
  /** 53 bits of a hash of the id: breaks ties, and tells products apart. */
  tie: Numbers;
  kind: Numbers;
  kinds: KindCount[];
}

/** Columns that nothing was read of. */
export const NO_COLUMNS: Columns = {
  price: new Uint8Array(),
  currency: new Uint8Array(),
  currencies: [],
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

/** A number from an id that is as good as unique. */
export const tieOf = (id: string): number =>
  Number(createHash("sha256").update(id).digest().readBigUInt64BE() >> 11n);

type BuiltFrom = Omit<SearchDocument, "packed" | "currency"> & { packed: Uint8Array; currency?: string };

/** A segment in the making. */
export class SegmentBuilder {
  readonly ids: string[] = [];
  readonly nameKeys: string[] = [];
  readonly postings = new PostingsWriter();
  readonly #currencies = new Numbered<string>();
  readonly #brands = new Numbered<[string, string]>();
  readonly #trees = new Numbered<string[]>();
  readonly #attrs = new Numbered<[string, string, string]>();
  readonly #kinds = new Numbered<KindCount>();
  readonly #rows: {
    price: number;
    currency: number;
    created: number;
    stock: number;
    brand: number;
    tree: number;
    kind: number;
    popularity: number;
    tie: number;
  }[] = [];
  readonly #attrStart: number[] = [0];
  readonly #attr: number[] = [];

  /**
   * @param document its id comes after those before it
   * @param entries those of its terms that are asked for; all when left out
   */
  add(document: BuiltFrom, entries?: Iterable<TermEntry>): void {
    const ordinal = this.ids.push(document._id) - 1;
    this.nameKeys.push(document.nameKey);
    if (entries === undefined) this.postings.addPacked(ordinal, document);
    else for (const entry of entries) this.postings.add(ordinal, entry);
    const { brandKey, brand, categoryTree, currency, head, categoryHeads, categoryIds, targeted } = document;
    const kind = this.#kinds.of(JSON.stringify([head, categoryIds]), () => ({
      head,
      categories: categoryHeads,
      categoryIds,
      count: 0,
      targeted: 0,
    }));
    const counted = this.#kinds.list[kind] as KindCount;
    counted.count++;
    if (targeted) counted.targeted++;
    for (const attr of document.attrs) this.#attr.push(this.#attrs.of(attr[0], () => attr));
    this.#attrStart.push(this.#attr.length);
    this.#rows.push({
      price: document.price,
      currency: currency === undefined ? 0 : this.#currencies.of(currency, () => currency) + 1,
      created: document.createdAt,
      stock: document.inStock ? 1 : 0,
      brand: brandKey === null ? 0 : this.#brands.of(brandKey, () => [brandKey, brand ?? brandKey]) + 1,
      tree: this.#trees.of(categoryTree.join(), () => categoryTree),
      kind,
      popularity: document.popularity,
      tie: tieOf(document._id),
    });
  }

  columns(): Columns {
    const rows = this.#rows;
    return {
      price: Float64Array.from(rows, ({ price }) => price),
      currency: Uint8Array.from(rows, ({ currency }) => currency),
      currencies: this.#currencies.list,
      created: Float64Array.from(rows, ({ created }) => created),
      stock: Uint8Array.from(rows, ({ stock }) => stock),
      brand: Uint32Array.from(rows, ({ brand }) => brand),
      brands: this.#brands.list,
      tree: Uint32Array.from(rows, ({ tree }) => tree),
      trees: this.#trees.list,
      attrStart: Uint32Array.from(this.#attrStart),
      attr: Uint32Array.from(this.#attr),
      attrs: this.#attrs.list,
      popularity: Float64Array.from(rows, ({ popularity }) => popularity),
      tie: Float64Array.from(rows, ({ tie }) => tie),
      kind: Uint32Array.from(rows, ({ kind }) => kind),
      kinds: this.#kinds.list,
    };
  }
}

/** A segment that can be searched. */
export interface ReadSegment extends SegmentView {
  columns: Columns;
  /** A byte for each product that is not to be found here. Shared: copy it before writing. */
  hidden: Uint8Array;
  /** Ordinals in the order of their ties. */
  order: Uint16Array;
  /** The id of a product, and its name for sorting, where they are at hand; else they are read by the page. */
  id: string;
}

const NO_ORDER = new Uint16Array();

/** Puts the parts of a segment together; `kinds` and `order` are made of it by the reader. */
export const viewOf = (
  id: string,
  count: number,
  postings: (term: string) => Postings | undefined,
  columns: Columns,
  hidden: Uint8Array,
): ReadSegment => ({
  id,
  count,
  columns,
  hidden,
  popularity: columns.popularity,
  kind: columns.kind,
  kinds: [],
  order: NO_ORDER,
  postings,
});

/** Builds a segment from search documents in the order of their ids, and reads one. */
import { createHash } from "node:crypto";
import type { Numbers } from "./columns";
import { unpack } from "./document";
import type { Kind, SegmentView } from "./match";
import type { SearchDocument } from "./model";
import { type Postings, PostingWriter, readPostings } from "./segment";

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

/** A number from an id that is as good as unique. */
export const tieOf = (id: string): number =>
  Number(createHash("sha256").update(id).digest().readBigUInt64BE() >> 11n);

type BuiltFrom = Omit<SearchDocument, "packed"> & { packed: Uint8Array };

/** A segment in the making. */
export class SegmentBuilder {
  readonly ids: string[] = [];
  readonly nameKeys: string[] = [];
  readonly postings = new Map<string, PostingWriter>();
  readonly #brands = new Numbered<[string, string]>();
  readonly #trees = new Numbered<string[]>();
  readonly #attrs = new Numbered<[string, string, string]>();
  readonly #kinds = new Numbered<KindCount>();
  readonly #rows: {
    price: number;
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
   * @param only the terms that are asked for; all of them when left out
   */
  add(document: BuiltFrom, only?: Set<string>): void {
    const ordinal = this.ids.push(document._id) - 1;
    this.nameKeys.push(document.nameKey);
    for (const entry of unpack(document)) {
      if (only && !only.has(entry.term)) continue;
      const writer = this.postings.get(entry.term) ?? new PostingWriter();
      this.postings.set(entry.term, writer);
      writer.add(ordinal, entry);
    }
    const { brandKey, brand, categoryTree, head, categoryHeads, categoryIds, targeted } = document;
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
  /** A byte for each product that is not to be found here. */
  hidden: Uint8Array;
  /** The id of a product, and its name for sorting, where they are at hand; else they are read by the page. */
  id: string;
}

/** Puts the parts of a segment together. @param data postings of the terms that are asked for */
export function viewOf(
  id: string,
  count: number,
  data: Map<string, Uint8Array>,
  columns: Columns,
  hidden: Uint8Array,
): ReadSegment {
  const read = new Map<string, Postings>();
  return {
    id,
    count,
    columns,
    hidden,
    popularity: columns.popularity,
    kind: columns.kind,
    kinds: [],
    postings(term) {
      const known = read.get(term);
      if (known) return known;
      const bytes = data.get(term);
      if (!bytes) return undefined;
      const postings = readPostings(bytes);
      read.set(term, postings);
      return postings;
    },
  };
}

/** How likely a thing of a head, or of a category, is made for another; with less than this many it is not known. */
const ENOUGH = 5;

/**
 * Says of each kind how far it is an accessory, from what the names of all products say: the more things of its head
 * or of its categories are "for" something, the more. In tenths, so that one product more or less changes little.
 */
export function setKinds(segments: ReadSegment[]): void {
  const heads = new Map<string, [number, number]>();
  const categories = new Map<string, [number, number]>();
  const add = (map: Map<string, [number, number]>, key: string, { count, targeted }: KindCount) => {
    const sums = map.get(key) ?? [0, 0];
    sums[0] += count;
    sums[1] += targeted;
    map.set(key, sums);
  };
  for (const { columns } of segments) {
    for (const kind of columns.kinds) {
      add(heads, kind.head, kind);
      for (const id of kind.categoryIds) add(categories, id, kind);
    }
  }
  const share = (sums: [number, number] | undefined): number =>
    sums === undefined || sums[0] < ENOUGH ? 0 : sums[1] / sums[0];
  for (const segment of segments) {
    segment.kinds = segment.columns.kinds.map((kind): Kind => {
      const shares = [
        share(heads.get(kind.head)),
        ...kind.categoryIds.map((id) => share(categories.get(id))),
      ];
      return {
        head: kind.head,
        categories: kind.categories,
        accessory: Math.round(Math.max(...shares) * 10) / 10,
      };
    });
  }
}

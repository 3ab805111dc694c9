/** The order of what was found, and the first of it. */
import type { ReadSegment } from "./builder";
import type { SearchRequest } from "./engine";
import type { Opened } from "./reader";

/** What a product is ordered by: the last is one of a kind. */
export type Keys = (number | string)[];

/** A product that fits. */
export interface Hit {
  segment: ReadSegment;
  ordinal: number;
  keys: Keys;
}

type Sort = SearchRequest["sort"];

/** Compares by each key in turn. Below 0 when the left one comes first. */
export function orderOf(sort: Sort): (left: Keys, right: Keys) => number {
  const descending = sort === undefined ? [true, true, false] : [sort.descending, sort.descending];
  return (left, right) => {
    for (let index = 0; index < descending.length; index++) {
      const [a, b] = [left[index] as number, right[index] as number];
      if (a !== b) return a < b === descending[index] ? 1 : -1;
    }
    return 0;
  };
}

/** How the products of a segment are ordered: by score, popularity and tie, or by the field of a sort and tie. */
export async function readKeysOf(
  opened: Opened,
  segment: ReadSegment,
  sort: Sort,
): Promise<{
  /** The first key alone. */
  first(ordinal: number, score: number): number | string;
  keysOf(ordinal: number, score: number): Keys;
}> {
  const { columns } = segment;
  if (sort === undefined) {
    return {
      first: (_, score) => score,
      keysOf: (ordinal, score) => [
        score,
        columns.popularity[ordinal] as number,
        columns.tie[ordinal] as number,
      ],
    };
  }
  const names = sort.name === "name" ? await opened.namesOf(segment) : [];
  const values = {
    price: columns.price,
    createdAt: columns.created,
    popularity: columns.popularity,
    name: names,
  }[sort.name];
  const first = (ordinal: number) => values[ordinal] as number | string;
  return { first, keysOf: (ordinal) => [first(ordinal), columns.tie[ordinal] as number] };
}

/** The first of many, in their order. */
export class TopHits {
  readonly hits: Hit[] = [];
  /** The first key of the last of `most` hits, and whether a smaller or a greater one comes behind it. */
  #last: number | string | undefined;
  readonly #descending: boolean;

  constructor(
    readonly most: number,
    readonly compare: (left: Keys, right: Keys) => number,
  ) {
    this.#descending = compare([1], [0]) < 0;
  }

  /** Whether one with this first key comes too late, whatever its others. */
  refuses(first: number | string): boolean {
    const last = this.#last;
    if (last === undefined) return false;
    return this.#descending ? first < last : first > last;
  }

  add(hit: Hit): void {
    const { hits, most, compare } = this;
    if (hits.length === most && compare(hit.keys, (hits[most - 1] as Hit).keys) >= 0) return;
    let low = 0;
    let high = hits.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(hit.keys, (hits[middle] as Hit).keys) < 0) high = middle;
      else low = middle + 1;
    }
    hits.splice(low, 0, hit);
    if (hits.length > most) hits.pop();
    if (hits.length === most) this.#last = hits[most - 1]?.keys[0];
  }
}

/** Which products a filter lets through, and how many have each value of each facet. */
import type { ProductFilter } from "../filters";
import { type Columns, tieOf } from "./builder";
import type { Facets } from "./engine";

/** Up to so many products a total is exact. */
export const MOST_COUNTED = 10_000;
/** Most values of a facet. */
const MOST_VALUES = 100;
/** Most attributes that become facets. */
const MOST_KEYS = 30;
/** About how many ranges of prices. */
const RANGES = 5;

const BRAND = 1;
const CATEGORY = 2;
const PRICE = 4;
const STOCK = 8;
const NAMED = 16;
/** The first attribute's; each filter of one has the next bit. */
const ATTRIBUTE = 32;
/** Behind those of attributes, of which a filter has at most ten. */
const CURRENCY = 2 ** 20;

/** Of a product, a bit for each part of the filter that keeps it out: 0 when it fits. */
export function barsOf(filter: ProductFilter, columns: Columns): (ordinal: number) => number {
  const {
    ids,
    category,
    brand,
    currency,
    priceFrom = Number.NEGATIVE_INFINITY,
    priceTo = Number.POSITIVE_INFINITY,
    inStock,
    attrs,
  } = filter;
  const brandNumber = brand === undefined ? -1 : columns.brands.findIndex(([key]) => key === brand) + 1 || -2;
  const currencyNumber = currency === undefined ? -1 : columns.currencies.indexOf(currency) + 1 || -2;
  const inTree = columns.trees.map((tree) => category === undefined || tree.includes(category));
  const wanted = attrs.map(
    (keys) => new Set(columns.attrs.flatMap(([key], index) => (keys.includes(key) ? [index] : []))),
  );
  const ties = ids && new Set(ids.map(tieOf));
  return (ordinal) => {
    let bars = ties && !ties.has(columns.tie[ordinal] as number) ? NAMED : 0;
    if (brandNumber !== -1 && columns.brand[ordinal] !== brandNumber) bars |= BRAND;
    if (category !== undefined && !inTree[columns.tree[ordinal] as number]) bars |= CATEGORY;
    if (currencyNumber !== -1 && columns.currency[ordinal] !== currencyNumber) bars |= CURRENCY;
    const price = columns.price[ordinal] as number;
    if (price < priceFrom || price > priceTo) bars |= PRICE;
    if (inStock !== undefined && columns.stock[ordinal] !== (inStock ? 1 : 0)) bars |= STOCK;
    for (let index = 0; index < wanted.length; index++) {
      const set = wanted[index] as Set<number>;
      let found = false;
      const end = columns.attrStart[ordinal + 1] as number;
      for (let at = columns.attrStart[ordinal] as number; at < end && !found; at++)
        found = set.has(columns.attr[at] as number);
      if (!found) bars |= ATTRIBUTE << index;
    }
    return bars;
  };
}

/** Calls back for each place of which something was counted; of most values no product fits. */
export function eachCounted(counts: Uint32Array, found: (place: number, count: number) => void): void {
  for (let place = 0; place < counts.length; place++) {
    const count = counts[place] as number;
    if (count > 0) found(place, count);
  }
}

/** The attribute that an entry of a filter is about. */
const keyOf = (attrKey: string): string => attrKey.slice(0, attrKey.indexOf("="));

/** A round number near another one, so that ranges begin where people expect it: 1, 2 or 5 and zeros. */
function round(value: number): number {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  const first = value / power;
  return (first < 1.5 ? 1 : first < 3.5 ? 2 : first < 7.5 ? 5 : 10) * power;
}

/** Ranges of amounts of one currency that hold about equally many, with round bounds. */
function rangesOf(currency: string, unsorted: number[]): Facets["price"] {
  // Numbers in an array of their own are sorted without a call for each pair.
  const prices = Float64Array.from(unsorted).sort();
  const bounds = new Set<number>();
  for (let index = 1; index < RANGES; index++) {
    const bound = round(prices[Math.floor((prices.length * index) / RANGES)] as number);
    if (bound > (prices[0] as number) && bound <= (prices.at(-1) as number)) bounds.add(bound);
  }
  const edges = [...bounds].sort((a, b) => a - b);
  const counts = new Array<number>(edges.length + 1).fill(0);
  let range = 0;
  for (const price of prices) {
    while (range < edges.length && price >= (edges[range] as number)) range++;
    counts[range] = (counts[range] as number) + 1;
  }
  return counts.map((count, index) => ({
    currency,
    from: index === 0 ? null : (edges[index - 1] as number),
    to: index === edges.length ? null : (edges[index] as number) - 1,
    count,
  }));
}

/** Counts the values of products that fit the text. */
export class FacetCounter {
  readonly #brands = new Map<string, { name: string; count: number }>();
  readonly #categories = new Map<string, number>();
  readonly #attributes = new Map<
    string,
    { key: string; values: Map<string, { value: string; count: number }> }
  >();
  readonly #stock = [0, 0];
  /** By currency. */
  readonly #prices = new Map<string, number[]>();
  /** By the key of an attribute, the bits of the filters that are about it. */
  readonly #own = new Map<string, number>();

  constructor(filter: ProductFilter) {
    for (const [index, keys] of filter.attrs.entries()) {
      for (const key of new Set(keys.map(keyOf))) {
        this.#own.set(key, (this.#own.get(key) ?? 0) | (ATTRIBUTE << index));
      }
    }
  }

  /** @param ordinals products whose text fits; @param bars what keeps each out */
  add(columns: Columns, ordinals: Uint16Array, bars: Int32Array): void {
    const brands = new Uint32Array(columns.brands.length + 1);
    const trees = new Uint32Array(columns.trees.length);
    const attrs = new Uint32Array(columns.attrs.length);
    const prices = columns.currencies.map((currency) => {
      const known = this.#prices.get(currency) ?? [];
      this.#prices.set(currency, known);
      return known;
    });
    const own = columns.attrs.map(([key]) => this.#own.get(keyOf(key)) ?? 0);
    for (let n = 0; n < ordinals.length; n++) {
      const ordinal = ordinals[n] as number;
      const out = bars[n] as number;
      const brand = columns.brand[ordinal] as number;
      if ((out & ~BRAND) === 0) brands[brand] = (brands[brand] as number) + 1;
      const tree = columns.tree[ordinal] as number;
      if ((out & ~CATEGORY) === 0) trees[tree] = (trees[tree] as number) + 1;
      if ((out & ~PRICE) === 0) {
        prices[(columns.currency[ordinal] as number) - 1]?.push(columns.price[ordinal] as number);
      }
      if ((out & ~STOCK) === 0) {
        const stock = columns.stock[ordinal] as number;
        this.#stock[stock] = (this.#stock[stock] as number) + 1;
      }
      const end = columns.attrStart[ordinal + 1] as number;
      for (let at = columns.attrStart[ordinal] as number; at < end; at++) {
        const attr = columns.attr[at] as number;
        if ((out & ~(own[attr] as number)) === 0) attrs[attr] = (attrs[attr] as number) + 1;
      }
    }
    this.#gather(columns, brands, trees, attrs);
  }

  #gather(columns: Columns, brands: Uint32Array, trees: Uint32Array, attrs: Uint32Array): void {
    eachCounted(brands, (place, count) => {
      // 0 stands for no brand.
      if (place === 0) return;
      const [key, name] = columns.brands[place - 1] as Columns["brands"][number];
      const known = this.#brands.get(key);
      if (known) known.count += count;
      else this.#brands.set(key, { name, count });
    });
    eachCounted(trees, (place, count) => {
      for (const id of columns.trees[place] as string[])
        this.#categories.set(id, (this.#categories.get(id) ?? 0) + count);
    });
    eachCounted(attrs, (place, count) => {
      const [attrKey, key, value] = columns.attrs[place] as Columns["attrs"][number];
      const canonical = keyOf(attrKey);
      const facet = this.#attributes.get(canonical) ?? { key, values: new Map() };
      this.#attributes.set(canonical, facet);
      const known = facet.values.get(attrKey);
      if (known) known.count += count;
      else facet.values.set(attrKey, { value, count });
    });
  }

  done(total: number): Facets {
    const first = <T extends { count: number }>(list: T[], text: (entry: T) => string, most: number): T[] =>
      list.sort((a, b) => b.count - a.count || (text(a) < text(b) ? -1 : 1)).slice(0, most);
    const [out = 0, there = 0] = this.#stock;
    const attributes = [...this.#attributes.values()].map(({ key, values }) => ({
      key,
      count: [...values.values()].reduce((sum, { count }) => sum + count, 0),
      values: first([...values.values()], ({ value }) => value, MOST_VALUES),
    }));
    return {
      relation: total > MOST_COUNTED ? "gte" : "eq",
      brand: first(
        [...this.#brands].map(([value, entry]) => ({ value, ...entry })),
        ({ value }) => value,
        MOST_VALUES,
      ),
      category: first(
        [...this.#categories].map(([value, count]) => ({ value, count })),
        ({ value }) => value,
        MOST_VALUES,
      ),
      // The currency of most products first.
      price: [...this.#prices]
        .filter(([, prices]) => prices.length > 0)
        .sort(([a, some], [b, others]) => others.length - some.length || (a < b ? -1 : 1))
        .flatMap(([currency, prices]) => rangesOf(currency, prices)),
      attributes: first(attributes, ({ key }) => key, MOST_KEYS).map(({ key, values }) => ({ key, values })),
      inStock: [
        { value: true, count: there },
        { value: false, count: out },
      ],
    };
  }
}

import type { Clock } from "../lib/clock";
import type { ProductStore } from "./store";

/**
 * Entries up to which counts are made anew for whoever asks: a product is one for its brand, and one for each category
 * that it is in or below. That is a shop of some 10,000 products.
 */
const AT_ONCE = 30_000;
/** How old the counts of a larger shop may become, in milliseconds: to make them takes it most of a second. */
const KEPT = 30_000;

/** How many active products a brand has, under its most frequent spelling. */
export interface BrandCount {
  key: string;
  name: string;
  count: number;
}

interface Counts {
  /** The active products in a category and below it, by its id; those with none count nowhere. */
  categories: Map<string, number>;
  /** By name. */
  brands: BrandCount[];
}

/**
 * Counts of what guests can see: exact up to 30,000 entries; of more, each process keeps them for half a minute, and
 * then has them counted once for all who ask meanwhile.
 */
export function createCounts(products: Pick<ProductStore, "countByCategory" | "countByBrand">, clock: Clock) {
  const kept = <Value>(make: () => Promise<{ value: Value; size: number }>) => {
    let last: { value: Value; at: number } | undefined;
    let running: ReturnType<typeof make> | undefined;
    return async (): Promise<Value> => {
      const now = clock.now().getTime();
      if (last === undefined) {
        const { value, size } = await make();
        if (size > AT_ONCE) last = { value, at: now };
        return value;
      }
      if (Math.abs(now - last.at) < KEPT) return last.value;
      running ??= make().finally(() => {
        running = undefined;
      });
      const { value, size } = await running;
      last = size > AT_ONCE ? { value, at: now } : undefined;
      return value;
    };
  };
  return {
    categories: kept<Counts["categories"]>(async () => {
      const found = await products.countByCategory();
      return { value: new Map(found.map(({ id, count }) => [id, count])), size: sum(found) };
    }),
    brands: kept<Counts["brands"]>(async () => {
      const found = await products.countByBrand();
      const brands = Map.groupBy(found, ({ key }) => key)
        .values()
        .map((spellings) => ({
          key: spellings[0]?.key ?? "",
          name: spellings.reduce((most, next) => (isFirst(next, most) ? next : most)).name,
          count: sum(spellings),
        }))
        .toArray();
      return { value: brands.sort((a, b) => (a.key < b.key ? -1 : 1)), size: sum(found) };
    }),
  };
}

const sum = (counted: { count: number }[]): number => counted.reduce((total, { count }) => total + count, 0);

const isFirst = (one: BrandCount, other: BrandCount): boolean =>
  one.count > other.count || (one.count === other.count && one.name < other.name);

export type CatalogueCounts = ReturnType<typeof createCounts>;

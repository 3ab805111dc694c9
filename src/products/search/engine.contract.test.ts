/** What a search engine must do, tried on the built-in one. Another one gets a line at the end. */
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../../test/app";
import { canonicalKey } from "../../lib/text";
import { attrKeyOf, type ProductFilter } from "../filters";
import type { ProductDocument } from "../model";
import { compact } from "./compact";
import type { SearchEngine, SearchRequest, SearchResult } from "./engine";

const t = useTestApp();
const WORDS = ["zebra", "yak", "xerus", "walrus"];
const BRANDS = ["Acme", "Borg", null];
const CURRENCIES = ["USD", "EUR", "JPY"];
const COLOURS = ["red", "blue", "green"];

interface Row {
  words: number[];
  brand: number;
  category: number;
  price: number;
  currency: number;
  colour: number;
  inStock: boolean;
  active: boolean;
}

/** One of which nothing is out of the ordinary. */
const PLAIN: Row = {
  words: [0],
  brand: 0,
  category: 0,
  price: 1,
  currency: 0,
  colour: 0,
  inStock: true,
  active: true,
};

const rows = fc.array(
  fc.record({
    words: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 3 }),
    brand: fc.nat(2),
    category: fc.nat(2),
    price: fc.nat(5000),
    currency: fc.nat(1),
    colour: fc.nat(2),
    inStock: fc.boolean(),
    active: fc.boolean(),
  }),
  { minLength: 1, maxLength: 25 },
);
const filters = fc.record({
  brand: fc.option(fc.nat(1), { nil: undefined }),
  category: fc.option(fc.nat(2), { nil: undefined }),
  priceFrom: fc.option(fc.nat(5000), { nil: undefined }),
  currency: fc.option(fc.nat(2), { nil: undefined }),
  colours: fc.option(fc.uniqueArray(fc.nat(2), { minLength: 1 }), { nil: undefined }),
  inStock: fc.option(fc.boolean(), { nil: undefined }),
});

function engineContract(name: string, engineOf: () => SearchEngine, between: () => Promise<unknown>): void {
  let serial = 0;
  const search = (text: string, more: Partial<SearchRequest> = {}): Promise<SearchResult> =>
    engineOf().search(
      text,
      (more.state ?? null) === null,
      Promise.resolve({
        filter: { status: "active", attrs: [] },
        sort: undefined,
        limit: 100,
        after: null,
        state: null,
        facets: true,
        synonyms: () => [],
        pinned: [],
        hidden: [],
        ...more,
      }),
    );
  const categories = ["c0", "c1", "c2"].map((id) => `00000000-0000-7000-8000-0000000000${id}`);
  const productOf = (row: Row, tag: string): ProductDocument => {
    const id = t.deps.random.id();
    const brand = BRANDS[row.brand] ?? null;
    const colour = COLOURS[row.colour] as string;
    const category = categories[row.category] as string;
    return {
      _id: id,
      name: `${tag} ${row.words.map((word) => WORDS[word]).join(" ")}`,
      slug: id,
      description: "",
      brand,
      ...(brand === null ? {} : { brandKey: canonicalKey(brand) }),
      attrs: [{ key: "colour", value: colour, unit: null }],
      attrKeys: [attrKeyOf("colour", colour)],
      status: row.active ? "active" : "draft",
      categoryIds: [category],
      categoryTree: [category],
      variants: [],
      price: row.price,
      currency: CURRENCIES[row.currency] as string,
      popularity: 0,
      inStock: row.inStock,
      version: 1,
      createdAt: new Date(serial),
      updatedAt: new Date(serial),
      deletedAt: null,
    };
  };
  const put = async (products: ProductDocument[], isNew: boolean) =>
    t.deps.mongo.transaction((tx) => engineOf().put(products, tx, isNew));

  describe(name, () => {
    test("finds and counts what a look at every product does, whatever the filter", async () => {
      await fc.assert(
        fc.asyncProperty(rows, filters, fc.boolean(), async (given, filter, settled) => {
          const tag = `tag${serial++}qq`;
          const products = given.map((row) => productOf(row, tag));
          await put(products, true);
          if (settled) await between();
          const { brand, category, currency, priceFrom, colours, inStock } = filter;
          const asked: ProductFilter = {
            status: "active",
            attrs: colours ? [colours.map((colour) => attrKeyOf("colour", COLOURS[colour] as string))] : [],
            ...(brand === undefined ? {} : { brand: canonicalKey(BRANDS[brand] as string) }),
            ...(category === undefined ? {} : { category: categories[category] as string }),
            ...(currency === undefined ? {} : { currency: CURRENCIES[currency] as string }),
            ...(priceFrom === undefined ? {} : { priceFrom }),
            ...(inStock === undefined ? {} : { inStock }),
          };
          const tests: Record<string, (row: Row) => boolean> = {
            brand: (row) => brand === undefined || row.brand === brand,
            category: (row) => category === undefined || row.category === category,
            currency: (row) => currency === undefined || row.currency === currency,
            price: (row) => priceFrom === undefined || row.price >= priceFrom,
            colour: (row) => colours === undefined || colours.includes(row.colour),
            inStock: (row) => inStock === undefined || row.inStock === inStock,
          };
          const fitting = (besides?: string) =>
            given.filter(
              (row) =>
                row.active && Object.entries(tests).every(([key, holds]) => key === besides || holds(row)),
            );
          const count = (list: Row[], keyOf: (row: Row) => string | null) => {
            const counts: Record<string, number> = {};
            for (const row of list) {
              const key = keyOf(row);
              if (key !== null) counts[key] = (counts[key] ?? 0) + 1;
            }
            return counts;
          };
          const byValue = (list: { value: string; count: number }[]) =>
            Object.fromEntries(list.map(({ value, count: n }) => [value, n]));
          const { ids, total, facets } = await search(tag, { filter: asked });
          const expected = products
            .filter((_, index) => fitting().includes(given[index] as Row))
            .map(({ _id }) => _id);
          expect(ids.toSorted()).toEqual(expected.toSorted());
          expect(total).toEqual({ value: expected.length, relation: "eq" });
          expect(byValue(facets?.brand ?? [])).toEqual(
            count(fitting("brand"), (row) => BRANDS[row.brand]?.toLowerCase() ?? null),
          );
          expect(byValue(facets?.category ?? [])).toEqual(
            count(fitting("category"), (row) => categories[row.category] as string),
          );
          expect(byValue(facets?.attributes[0]?.values ?? [])).toEqual(
            count(fitting("colour"), (row) => COLOURS[row.colour] as string),
          );
          expect(facets?.inStock.map(({ count: n }) => n)).toEqual([
            fitting("inStock").filter((row) => row.inStock).length,
            fitting("inStock").filter((row) => !row.inStock).length,
          ]);
          const prices = fitting("price");
          expect(facets?.price.reduce((sum, range) => sum + range.count, 0)).toBe(prices.length);
          for (const range of facets?.price ?? []) {
            const { from, to, count: n } = range;
            const own = prices.filter((row) => CURRENCIES[row.currency] === range.currency);
            expect(own.filter(({ price }) => price >= (from ?? 0) && price <= (to ?? 1e9)).length).toBe(n);
          }
        }),
        { numRuns: 12 },
      );
    });

    test("pages neither repeat nor skip while others come, change and go", async () => {
      const tag = `pages${serial++}qq`;
      const row = { ...PLAIN, words: [0, 1] };
      const steady = Array.from({ length: 30 }, () => productOf(row, tag));
      const passing = Array.from({ length: 10 }, () => productOf({ ...row, words: [2] }, tag));
      await put([...steady, ...passing], true);
      const seen: string[] = [];
      let page: SearchResult | undefined;
      do {
        page = await search(tag, {
          limit: 7,
          after: page?.next ?? null,
          state: page?.state ?? null,
        });
        seen.push(...page.ids);
        await put([productOf(row, `${tag} other`)], true);
        const gone = passing.pop();
        if (gone) await put([{ ...gone, status: "archived" }], false);
        await between();
      } while (page.next !== null);
      const counts = steady.map(({ _id }) => seen.filter((id) => id === _id).length);
      expect(counts).toEqual(steady.map(() => 1));
    });

    test("a suggestion is as the products are at that moment, however often it was asked for", async () => {
      const tag = `typed${serial++}qq`;
      const row = PLAIN;
      const suggested = async (hidden: string[] = []) => {
        const found = await engineOf().suggest(tag, 10, hidden);
        return found.products.toSorted();
      };
      const twice = async (hidden?: string[]) => {
        const first = await suggested(hidden);
        expect(await suggested(hidden)).toEqual(first);
        return first;
      };
      const [a, b] = [productOf(row, tag), productOf(row, tag)] as [ProductDocument, ProductDocument];
      for (const done of [async () => undefined, between]) {
        await put([a], true);
        await done();
        expect(await twice()).toEqual([a._id]);
        await put([b], true);
        expect(await twice()).toEqual([a._id, b._id].toSorted());
        await done();
        expect(await twice([a._id])).toEqual([b._id]);
        for (const product of [a, b]) {
          await put([{ ...product, status: "archived" }], false);
          expect(await twice()).not.toContain(product._id);
        }
        [a._id, b._id] = [productOf(row, tag)._id, productOf(row, tag)._id];
      }
    });

    test("what is pinned comes first, what is hidden not at all", async () => {
      const tag = `pins${serial++}qq`;
      const row = PLAIN;
      const [a, b, c] = [1, 2, 3].map(() => productOf(row, tag)) as [
        ProductDocument,
        ProductDocument,
        ProductDocument,
      ];
      await put([a, b, c], true);
      for (const done of [async () => undefined, between]) {
        await done();
        const { ids } = await search(tag, { pinned: [c._id], hidden: [a._id] });
        expect(ids).toEqual([c._id, b._id]);
      }
    });
  });
}

beforeAll(async () => {
  await t.deps.mongo.connection.asPromise();
});

engineContract(
  "the built-in engine",
  () => t.deps.search,
  () => compact({ store: t.deps.searchIndex, clock: t.deps.clock, random: t.deps.random }, 1),
);

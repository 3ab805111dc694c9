import { type Mongo, tookTooLong } from "../db/mongo";
import { AppError } from "../lib/errors";
import { sameAtOnce } from "../lib/together";
import { type ProductFilter, SORTS, type SortName } from "./filters";
import { LIVING, type ProductDocument, type ProductStatus, productModel } from "./model";
import { type ListedProduct, SUMMARY } from "./summary";

/** A filter's conditions; every value in it was checked and none is a query. */
const conditionsOf = (filter: ProductFilter) => ({
  ...LIVING,
  status: filter.status,
  ...(filter.ids === undefined ? {} : { _id: { $in: filter.ids as never[] } }),
  ...(filter.skus === undefined ? {} : { skuKeys: { $in: filter.skus } }),
  ...(filter.gtins === undefined ? {} : { gtinKeys: { $in: filter.gtins } }),
  ...(filter.category === undefined ? {} : { categoryTree: filter.category }),
  ...(filter.brand === undefined ? {} : { brandKey: filter.brand }),
  // What is not active is not in stock, whatever lies in the warehouse.
  ...(filter.inStock === undefined || (filter.status !== "active" && !filter.inStock)
    ? {}
    : { inStock: filter.inStock }),
  ...(filter.status !== "active" && filter.inStock ? { _id: { $in: [] as never[] } } : {}),
  ...(filter.currency === undefined ? {} : { currency: filter.currency }),
  ...(filter.priceFrom === undefined && filter.priceTo === undefined
    ? {}
    : {
        price: {
          ...(filter.priceFrom === undefined ? {} : { $gte: filter.priceFrom }),
          ...(filter.priceTo === undefined ? {} : { $lte: filter.priceTo }),
        },
      }),
  ...(filter.attrs.length === 0
    ? {}
    : { $and: filter.attrs.map((values) => ({ attrKeys: { $in: values } })) }),
});

/**
 * The index that gives the order of a list with none or one of category, brand and what is in stock. Named, because
 * a planner that guesses sorts now and then; with other conditions the choice is left to it.
 */
function hintOf(filter: ProductFilter, sort: SortName): { hint?: Record<string, 1 | -1> } {
  const { category, brand, attrs, inStock, currency, priceFrom, priceTo } = filter;
  // They find a hundred or so at most, which are sorted; the index of the order would be read to its end for them.
  if (filter.ids) return { hint: { _id: 1 } };
  if (filter.skus) return { hint: { skuKeys: 1 } };
  if (filter.gtins) return { hint: { gtinKeys: 1 } };
  const equal = {
    ...(category === undefined ? {} : { categoryTree: 1 as const }),
    ...(brand === undefined ? {} : { brandKey: 1 as const }),
    ...(inStock === undefined ? {} : { inStock: 1 as const }),
  };
  const others =
    attrs.length > 0 || currency !== undefined || priceFrom !== undefined || priceTo !== undefined;
  const indexed = inStock === undefined || (inStock && sort !== "name");
  if (others || !indexed || Object.keys(equal).length > 1) return {};
  return { hint: { status: 1, ...equal, [SORTS[sort]]: -1, _id: -1 } };
}

/** The order of a list. */
export interface ProductSort {
  name: SortName;
  descending: boolean;
}

/** The row that a page begins behind. */
export interface ListPosition {
  key: string | number | Date;
  id: string;
}

/** What a page is asked for by. */
interface PageQuestion {
  filter: ProductFilter;
  sort: ProductSort;
  after: ListPosition | null;
  limit: number;
  fields: Record<string, 1>;
}

/** The ranges of an index that a page is read from, in their order. */
function stepsOf({ name, descending }: ProductSort, after: ListPosition | null): Record<string, unknown>[] {
  if (after === null) return [{}];
  const field = SORTS[name];
  const beyond = descending ? "$lt" : "$gt";
  return [{ [field]: after.key, _id: { [beyond]: after.id } }, { [field]: { [beyond]: after.key } }];
}

/** Longest time that the server may take for a list, in milliseconds: a mix of filters may have no index. */
const LIST_LIMIT = 3000;
/** Longest time that the server may take to count all that is for sale, in milliseconds. */
const COUNT_LIMIT = 8000;

/** Says that a list took too long, which the server's own error does not tell from a server that is away. */
function tooSlow(error: unknown): unknown {
  if (!tookTooLong(error)) return error;
  return new AppError("service_unavailable", "The list took too long. Narrow its filter or sort otherwise.", {
    retryAfter: 5,
    cause: error,
  });
}

/**
 * Lists and counts of products.
 * @param listLimit longest time that the server may take for a list, in milliseconds
 */
export const createProductLists = (mongo: Mongo, listLimit = LIST_LIMIT) => {
  const Product = productModel(mongo.connection);
  /**
   * The driver's own cursor: a list is what is asked for most, every value in it was checked, and what Mongoose
   * does around a lean query took as long as the query's way to the database and back.
   */
  const pageQuery = (
    filter: ProductFilter,
    sort: ProductSort,
    step: Record<string, unknown>,
    limit: number,
    fields: Record<string, number> = SUMMARY,
  ) => {
    const direction = sort.descending ? -1 : 1;
    const conditions = conditionsOf(filter);
    return Product.collection.find<ListedProduct>(
      Object.keys(step).length === 0 ? conditions : { $and: [conditions, step] },
      {
        projection: fields,
        sort: { [SORTS[sort.name]]: direction, _id: direction },
        limit,
        maxTimeMS: listLimit,
        ...hintOf(filter, sort.name),
      },
    );
  };
  const readPage = sameAtOnce(
    async ({ filter, sort, after, limit, fields }: PageQuestion): Promise<ListedProduct[]> => {
      const read = { ...fields, ...(sort.name === "name" ? { nameKey: 1 } : {}) };
      const pages = await Promise.all(
        stepsOf(sort, after).map((step) => pageQuery(filter, sort, step, limit + 1, read).toArray()),
      ).catch((error) => {
        throw tooSlow(error);
      });
      return pages.flat().slice(0, limit + 1);
    },
  );
  const readCurrencies = sameAtOnce(async (status: ProductStatus): Promise<string[]> => {
    // Both ends of an index: one look for "any other than this" reads every key on the local engine.
    const end = (direction: 1 | -1) =>
      Product.collection.findOne<{ currency: string }>(
        { ...LIVING, status },
        {
          projection: { _id: 0, currency: 1 },
          sort: { currency: direction, _id: direction },
          hint: { status: 1, currency: 1, _id: 1 },
          maxTimeMS: listLimit,
        },
      );
    const found = await Promise.all([end(1), end(-1)]);
    return [...new Set(found.flatMap((product) => product?.currency ?? []))];
  });
  return {
    /**
     * A page of living products in the order of a sort, `limit` + 1 at most so that the caller sees if more
     * follow. What comes behind `after` is asked for in two steps, the rows of the same sort key and the rows
     * beyond it: each is one range of an index, and both are asked for at once, so that a page far behind takes
     * as long as the first. Those who ask for the same page at the same moment are given the same rows.
     * @throws AppError service_unavailable when the server takes longer than 3 s
     */
    list: (
      filter: ProductFilter,
      sort: ProductSort,
      after: ListPosition | null,
      limit: number,
      fields: Record<string, 1> = SUMMARY,
    ): Promise<readonly ListedProduct[]> => readPage({ filter, sort, after, limit, fields }),

    /** The first and the last currency of products of this status, by their codes: two when there are several. */
    currencies: (status: ProductStatus): Promise<readonly string[]> => readCurrencies(status),

    /** One or two of the currencies that the products of a filter have. */
    async currenciesOf(filter: ProductFilter): Promise<string[]> {
      const all = conditionsOf(filter);
      const one = await Product.collection.findOne(all, {
        projection: { currency: 1 },
        maxTimeMS: listLimit,
      });
      if (!one) return [];
      const other = await Product.collection.findOne(
        { $and: [all, { currency: { $ne: one.currency } }] },
        { projection: { currency: 1 }, maxTimeMS: listLimit },
      );
      return other ? [one.currency, other.currency] : [one.currency];
    },

    /** How many products a filter finds, counted up to `most`. @throws AppError service_unavailable after 3 s */
    countOf: (filter: ProductFilter, most: number): Promise<number> =>
      Product.countDocuments(conditionsOf(filter))
        .limit(most)
        .maxTimeMS(listLimit)
        .catch((error) => {
          throw tooSlow(error);
        }),

    /** How each step of a page is read, for the test that holds how many documents it takes. */
    async explainList(
      filter: ProductFilter,
      sort: ProductSort,
      limit: number,
      after: ListPosition | null = null,
    ): Promise<unknown[]> {
      const plans: unknown[] = [];
      for (const step of stepsOf(sort, after)) {
        plans.push(await pageQuery(filter, sort, step, limit).explain("executionStats"));
      }
      return plans;
    },

    /** Active products of these ids, in their order; those that are no longer there are left out. */
    async activeOf(ids: string[], fields: Record<string, 1>): Promise<ListedProduct[]> {
      const found = await Product.collection
        .find<ListedProduct & Pick<ProductDocument, "slugKey">>(
          // By ids alone, which is several times as quick on the local engine; the rest is looked at here.
          { _id: { $in: ids as never[] } },
          { projection: { ...fields, slugKey: 1, status: 1 }, maxTimeMS: listLimit, hint: { _id: 1 } },
        )
        .toArray();
      const byId = new Map(
        found.flatMap(({ slugKey, ...product }) =>
          slugKey !== undefined && product.status === "active" ? [[product._id, product] as const] : [],
        ),
      );
      return ids.flatMap((id) => byId.get(id) ?? []);
    },

    /** Ids of the products that a filter by ids, SKUs or GTINs finds. */
    idsOf: async ({ ids, skus, gtins }: ProductFilter): Promise<string[]> =>
      (
        await Product.find(
          conditionsOf({
            status: "active",
            attrs: [],
            ...(ids === undefined ? {} : { ids }),
            ...(skus === undefined ? {} : { skus }),
            ...(gtins === undefined ? {} : { gtins }),
          }),
          { _id: 1 },
        ).lean()
      ).map(({ _id }) => _id),

    /** How many active products are in each category and below it. */
    async countByCategory(): Promise<{ id: string; count: number }[]> {
      const counted = await Product.collection
        .aggregate<{ _id: string; count: number }>(
          [
            { $match: { ...LIVING, status: "active" } },
            { $project: { categoryTree: 1 } },
            { $unwind: "$categoryTree" },
            { $group: { _id: "$categoryTree", count: { $sum: 1 } } },
          ],
          { maxTimeMS: COUNT_LIMIT },
        )
        .toArray();
      return counted.map(({ _id, count }) => ({ id: _id, count }));
    },

    /** How many active products each brand has, by each of its spellings. */
    async countByBrand(): Promise<{ key: string; name: string; count: number }[]> {
      const counted = await Product.collection
        .aggregate<{ _id: { key: string; name: string }; count: number }>(
          [
            { $match: { ...LIVING, status: "active", brandKey: { $exists: true } } },
            { $group: { _id: { key: "$brandKey", name: "$brand" }, count: { $sum: 1 } } },
          ],
          { maxTimeMS: COUNT_LIMIT },
        )
        .toArray();
      return counted.map(({ _id, count }) => ({ ..._id, count }));
    },

    count: (status?: ProductStatus): Promise<number> =>
      Product.countDocuments({ ...LIVING, ...(status === undefined ? {} : { status }) }),
  };
};

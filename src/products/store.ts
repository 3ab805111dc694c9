import { duplicateKey, type Mongo, type MongoTx, tookTooLong } from "../db/mongo";
import { AppError } from "../lib/errors";
import { isId } from "../lib/text";
import { type ProductFilter, SORTS, type SortName } from "./filters";
import {
  type CoverPicture,
  LIVING,
  type ProductDocument,
  type ProductStatus,
  productModel,
  type VariantDocument,
} from "./model";
import type { SearchEngine } from "./search/engine";
import type { Shown } from "./shown";

/** The fields of a product in a list. */
export type ProductSummary = Pick<
  ProductDocument,
  | "_id"
  | "name"
  | "slug"
  | "brand"
  | "status"
  | "categoryIds"
  | "price"
  | "currency"
  | "priceMax"
  | "compareAtPrice"
  | "variantCount"
  | "optionNames"
  | "picture"
  | "popularity"
  | "inStock"
  | "createdAt"
  | "updatedAt"
>;

/** A product in a list, with what the list was asked for besides; `variants` may hold `sku` and `skuKey` alone. */
export type ListedProduct = ProductSummary &
  Partial<Pick<ProductDocument, "variants" | "nameKey" | "categoryTree">>;

/** Where a product stands in the tree of categories. */
export type PlantedProduct = Pick<ProductDocument, "_id" | "version" | "categoryIds" | "categoryTree">;

/** What a list reads of a product: its summary. */
export const SUMMARY = {
  name: 1,
  slug: 1,
  brand: 1,
  status: 1,
  categoryIds: 1,
  price: 1,
  currency: 1,
  priceMax: 1,
  compareAtPrice: 1,
  variantCount: 1,
  optionNames: 1,
  picture: 1,
  popularity: 1,
  inStock: 1,
  createdAt: 1,
  updatedAt: 1,
} as const;

/** Says which unique key a write ran into. */
function taken(error: unknown): AppError | undefined {
  const index = duplicateKey(error);
  if (index === undefined) return undefined;
  if (index.includes("skuKeys"))
    return new AppError("already_exists", "A product with this SKU exists.", { cause: error });
  if (index.includes("slugKey"))
    return new AppError("already_exists", "A product with this slug exists.", { cause: error });
  return undefined;
}

/** The update that makes a product what is given, one version on. */
function replacementOf(product: ProductDocument, version: number) {
  // What belongs to stock and pictures is not ours to put back.
  const {
    _id,
    inStock: _i,
    stockRevision: _r,
    pictureSequence: _s,
    picture: _p,
    pictureRevision: _v,
    ...fields
  } = product;
  return {
    $set: { ...fields, version: version + 1 },
    // Absent, not null: the unique indexes leave out what has no key.
    $unset: {
      ...(product.slugKey === undefined ? { slugKey: 1 as const } : {}),
      ...(product.skuKeys === undefined ? { skuKeys: 1 as const } : {}),
      ...(product.brandKey === undefined ? { brandKey: 1 as const } : {}),
      ...(product.gtinKeys === undefined ? { gtinKeys: 1 as const } : {}),
    },
  };
}

/** A filter's conditions; every value in it was checked and none is a query. */
export const conditionsOf = (filter: ProductFilter) => ({
  ...LIVING,
  status: filter.status,
  ...(filter.ids === undefined ? {} : { _id: { $in: filter.ids as never[] } }),
  ...(filter.skus === undefined ? {} : { skuKeys: { $in: filter.skus } }),
  ...(filter.gtins === undefined ? {} : { gtinKeys: { $in: filter.gtins } }),
  ...(filter.category === undefined ? {} : { categoryTree: filter.category }),
  ...(filter.brand === undefined ? {} : { brandKey: filter.brand }),
  ...(filter.inStock === undefined ? {} : { inStock: filter.inStock }),
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
  const { category, brand, attrs, inStock, priceFrom, priceTo } = filter;
  // They find a hundred or so at most, which are sorted; the index of the order would be read to its end for them.
  if (filter.ids) return { hint: { _id: 1 } };
  if (filter.skus) return { hint: { skuKeys: 1 } };
  if (filter.gtins) return { hint: { gtinKeys: 1 } };
  const equal = {
    ...(category === undefined ? {} : { categoryTree: 1 as const }),
    ...(brand === undefined ? {} : { brandKey: 1 as const }),
    ...(inStock === undefined ? {} : { inStock: 1 as const }),
  };
  const others = attrs.length > 0 || priceFrom !== undefined || priceTo !== undefined;
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

/** What is told of every change, in its transaction. */
export type ProductIndex = Pick<SearchEngine, "put" | "setInStock">;

/**
 * Products in MongoDB.
 * @param index the search, which finds products as they were written last
 * @param listLimit longest time that the server may take for a list, in milliseconds
 */
export const createProductStore = (mongo: Mongo, index: ProductIndex, listLimit = LIST_LIMIT) => {
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
  const validateAll = async (products: ProductDocument[]): Promise<void> => {
    for (const product of products) await new Product(product).validate();
  };
  /** Takes products into the search again as they are, whichever of these are there. */
  const reindex = async (ids: string[], tx?: MongoTx): Promise<void> => {
    await index.put(await Product.find({ _id: { $in: ids } }, null, mongo.in(tx)).lean(), tx, false);
  };
  return {
    /** @throws what `refusedFields` names, when the schema refuses one of them */
    validateAll,

    /** @throws AppError already_exists when the slug or a SKU is taken */
    async create(product: ProductDocument, tx?: MongoTx): Promise<void> {
      try {
        await Product.create([product], mongo.in(tx));
        await index.put([product], tx, true);
      } catch (error) {
        throw taken(error) ?? error;
      }
    },

    /**
     * Makes many at once, or none when the schema refuses one or the slug or SKU of one is taken.
     * @returns whether they were made; false when one was taken
     */
    async createMany(products: ProductDocument[]): Promise<boolean> {
      await validateAll(products);
      try {
        await mongo.transaction(async (tx) => {
          // Checked already, and not hydrated: Mongoose would track every field of what nobody reads again.
          await Product.insertMany(
            products.map((product) => ({ inStock: false, stockRevision: 0, ...product })),
            { lean: true, ...mongo.in(tx) },
          );
          await index.put(products, tx, true);
        });
        return true;
      } catch (error) {
        if (duplicateKey(error) === undefined) throw error;
        return false;
      }
    },

    /** A living product. */
    findById: (id: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ _id: id, deletedAt: null }, null, mongo.in(tx)).lean(),

    findBySlug: (slugKey: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ slugKey }, null, mongo.in(tx)).lean(),

    /** A living product by its id or its slug, either in canonical form. */
    async find(key: string): Promise<ProductDocument | null> {
      const byId = isId(key) ? await Product.findOne({ _id: key, deletedAt: null }).lean() : null;
      // An id may be somebody's slug where it was given before such slugs were refused.
      return byId ?? (await Product.findOne({ slugKey: key }).lean());
    },

    /** The variants of these products. */
    async variantsOf(ids: string[]): Promise<Map<string, VariantDocument[]>> {
      const found = await Product.find({ _id: { $in: ids } }, { variants: 1 }).lean();
      return new Map(found.map(({ _id, variants }) => [_id, variants]));
    },

    /** Products, deleted ones too, that lack what lists show of their variants or their picture. */
    incomplete: (
      limit: number,
    ): Promise<
      Pick<ProductDocument, "_id" | "version" | "variants" | "price" | "currency" | "pictureRevision">[]
    > =>
      Product.find(
        { $or: [{ variantCount: { $exists: false } }, { picture: { $exists: false } }] },
        { version: 1, variants: 1, price: 1, currency: 1, pictureRevision: 1 },
      )
        .limit(limit)
        .lean(),

    /** Writes what lists show of products that nobody has changed since they were read. */
    async complete(
      products: (Pick<ProductDocument, "_id" | "version" | "pictureRevision" | "picture"> & Shown)[],
    ): Promise<void> {
      await Product.bulkWrite(
        products.map(({ _id, version, pictureRevision, ...shown }) => ({
          updateOne: {
            filter: { _id, version, pictureRevision: pictureRevision ?? { $exists: false } },
            update: { $set: shown },
          },
        })),
        { ordered: false },
      );
    },

    /** Writes how the first picture of a product looks, without a new version of the product. */
    setPicture: async (id: string, picture: CoverPicture | null, tx: MongoTx): Promise<void> => {
      await Product.updateOne({ _id: id }, { $set: { picture }, $inc: { pictureRevision: 1 } }, mongo.in(tx));
    },

    findBySku: (skuKey: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ skuKeys: skuKey }, null, mongo.in(tx)).lean(),

    findBySkus: (skuKeys: string[]): Promise<ProductDocument[]> =>
      Product.find({ skuKeys: { $in: skuKeys } }).lean(),

    findBySlugs: (slugKeys: string[]): Promise<ProductDocument[]> =>
      Product.find({ slugKey: { $in: slugKeys } }).lean(),

    /**
     * Counts one more picture of a living product, without a new version of it.
     * @returns how many there were before, ever; null when there is no such product
     */
    async countPicture(id: string, tx: MongoTx): Promise<number | null> {
      const product = await Product.findOneAndUpdate(
        { _id: id, deletedAt: null },
        { $inc: { pictureSequence: 1 } },
        { ...mongo.in(tx), returnDocument: "before", projection: { pictureSequence: 1 } },
      ).lean();
      return product && (product.pictureSequence ?? 0);
    },

    /** Replaces a product if it still has the version. @returns false when it has another */
    async replace(product: ProductDocument, version: number, tx?: MongoTx): Promise<boolean> {
      try {
        const { matchedCount } = await Product.updateOne(
          { _id: product._id, version },
          replacementOf(product, version),
          { ...mongo.in(tx), runValidators: true },
        );
        if (matchedCount === 1) await index.put([product], tx, false);
        return matchedCount === 1;
      } catch (error) {
        throw taken(error) ?? error;
      }
    },

    /**
     * Replaces many, each if it has the version before its own.
     * @returns false when one had another version: the transaction must not be committed then
     */
    async replaceMany(products: ProductDocument[], tx: MongoTx): Promise<boolean> {
      // Bulk writes run no validators of their own.
      await validateAll(products);
      try {
        // The driver's own: they are checked, and Mongoose would cast every field once more.
        const { matchedCount } = await Product.collection.bulkWrite(
          products.map((product) => ({
            updateOne: {
              filter: { _id: product._id as never, version: product.version - 1 },
              update: replacementOf(product, product.version - 1) as object,
            },
          })),
          mongo.in(tx),
        );
        if (matchedCount !== products.length) return false;
        await index.put(products, tx, false);
        return true;
      } catch (error) {
        throw taken(error) ?? error;
      }
    },

    /** The products that have one of these SKUs, with the revision of their `inStock`. */
    stockStates: (skuKeys: string[]): Promise<Pick<ProductDocument, "_id" | "skuKeys" | "stockRevision">[]> =>
      Product.find({ skuKeys: { $in: skuKeys } })
        .select({ skuKeys: 1, stockRevision: 1 })
        .lean(),

    /**
     * Writes `inStock` of products whose revision is still the given one, without a new version.
     * @returns how many had another revision
     */
    async setInStock(
      states: { id: string; revision: number | undefined; inStock: boolean }[],
    ): Promise<number> {
      if (states.length === 0) return 0;
      const { matchedCount } = await Product.bulkWrite(
        states.map(({ id, revision, inStock }) => ({
          updateOne: {
            filter: { _id: id, stockRevision: revision ?? null },
            update: { $set: { inStock, stockRevision: (revision ?? 0) + 1 } },
          },
        })),
        { ordered: false },
      );
      const written = await Product.find(
        { _id: { $in: states.map(({ id }) => id) } },
        { inStock: 1, stockRevision: 1 },
      ).lean();
      await index.setInStock(
        written.map(({ _id, inStock = false, stockRevision = 0 }) => ({
          id: _id,
          inStock,
          revision: stockRevision,
        })),
      );
      return states.length - matchedCount;
    },

    /** Products below a category, deleted ones too, by id from behind `after` on: what says where they stand in the tree. */
    below: (
      categoryId: string,
      after: string | null,
      limit: number,
      tx?: MongoTx,
    ): Promise<PlantedProduct[]> =>
      Product.find(
        { categoryTree: categoryId, ...(after === null ? {} : { _id: { $gt: after } }) },
        { categoryIds: 1, categoryTree: 1, version: 1 },
        mongo.in(tx),
      )
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),

    /** Whether a living product is in one of these categories itself. */
    isInCategories: async (categoryIds: string[], tx: MongoTx): Promise<boolean> =>
      (await Product.findOne(
        { categoryTree: { $in: categoryIds }, categoryIds: { $in: categoryIds }, deletedAt: null },
        { _id: 1 },
        mongo.in(tx),
      ).lean()) !== null,

    /**
     * Writes where products stand in the tree, of those that still have the version that was read. Other
     * categories of its own make a new version of a product.
     * @returns how many had another version
     */
    async setTrees(
      changes: { id: string; version: number; categoryIds?: string[]; categoryTree: string[] }[],
      tx?: MongoTx,
    ): Promise<number> {
      const { matchedCount } = await Product.bulkWrite(
        changes.map(({ id, version, ...trees }) => ({
          updateOne: {
            filter: { _id: id, version },
            update: { $set: trees, $inc: { version: trees.categoryIds === undefined ? 0 : 1 } },
          },
        })),
        mongo.in(tx),
      );
      if (matchedCount === changes.length)
        await reindex(
          changes.map(({ id }) => id),
          tx,
        );
      return changes.length - matchedCount;
    },

    /** A product, deleted or not. */
    findAny: (id: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findById(id, null, mongo.in(tx)).lean(),

    /**
     * A page of living products in the order of a sort, `limit` + 1 at most so that the caller sees if more
     * follow. What comes behind `after` is asked for in two steps, the rows of the same sort key and the rows
     * beyond it: each is one range of an index, and both are asked for at once, so that a page far behind takes
     * as long as the first.
     * @throws AppError service_unavailable when the server takes longer than 3 s
     */
    async list(
      filter: ProductFilter,
      sort: ProductSort,
      after: ListPosition | null,
      limit: number,
      fields: Record<string, 1> = SUMMARY,
    ): Promise<ListedProduct[]> {
      const read = { ...fields, ...(sort.name === "name" ? { nameKey: 1 } : {}) };
      const pages = await Promise.all(
        stepsOf(sort, after).map((step) => pageQuery(filter, sort, step, limit + 1, read).toArray()),
      ).catch((error) => {
        throw tooSlow(error);
      });
      return pages.flat().slice(0, limit + 1);
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
        .find<ListedProduct>(
          { _id: { $in: ids as never[] }, ...LIVING, status: "active" },
          { projection: fields, maxTimeMS: listLimit, hint: { _id: 1 } },
        )
        .toArray();
      const byId = new Map(found.map((product) => [product._id, product]));
      return ids.flatMap((id) => byId.get(id) ?? []);
    },

    reindex,

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

    /** True when there is or ever was a product: deleted ones are kept. */
    wasUsed: async (): Promise<boolean> => (await Product.exists({})) !== null,

    /** Living products by id from behind `after` on, whole: for an export. */
    pageById: (
      after: string | null,
      limit: number,
      status?: ProductStatus,
      tx?: MongoTx,
    ): Promise<ProductDocument[]> =>
      Product.find(
        {
          deletedAt: null,
          ...(status === undefined ? {} : { status }),
          ...(after === null ? {} : { _id: { $gt: after } }),
        },
        null,
        mongo.in(tx),
      )
        .sort({ _id: 1 })
        .limit(limit)
        .lean(),
  };
};

export type ProductStore = ReturnType<typeof createProductStore>;

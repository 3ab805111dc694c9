import { checkPlain } from "../db/check-plain";
import { duplicateKey, type Mongo, type MongoTx, OPERATION_LIMIT } from "../db/mongo";
import { AppError } from "../lib/errors";
import { isId } from "../lib/text";
import { together } from "../lib/together";
import { createInStockStore } from "./in-stock.store";
import { createProductLists } from "./lists.store";
import { LIVING, type ProductDocument, type ProductStatus, productModel } from "./model";
import type { Prepared, ProductIndex } from "./search/engine";
import { createShownStore } from "./shown.store";
import { createProductTrees } from "./tree.store";

/** A product has this slug or SKU already. */
export class KeyTaken extends AppError {
  constructor(
    readonly key: "slug" | "SKU",
    cause: unknown,
  ) {
    super("already_exists", `A product with this ${key} exists.`, { cause });
  }
}

/** Says which unique key a write ran into. */
function taken(error: unknown): KeyTaken | undefined {
  const index = duplicateKey(error);
  if (index?.includes("skuKeys")) return new KeyTaken("SKU", error);
  return index?.includes("slugKey") ? new KeyTaken("slug", error) : undefined;
}

/** Products that are read together. */
const MOST_TOGETHER = 50;

/** A product as it is written first, with what belongs to stock. */
const asNew = (product: ProductDocument): ProductDocument => ({
  inStock: false,
  stockRevision: 0,
  ...product,
});

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
      ...(product.deletedBy === undefined ? { deletedBy: 1 as const } : {}),
      ...(product.brandKey === undefined ? { brandKey: 1 as const } : {}),
      ...(product.gtinKeys === undefined ? { gtinKeys: 1 as const } : {}),
    },
  };
}

/**
 * Products in MongoDB.
 * @param index the search, which finds products as they were written last
 * @param listLimit longest time that the server may take for a list, in milliseconds
 */
export const createProductStore = (mongo: Mongo, index: ProductIndex, listLimit?: number) => {
  const Product = productModel(mongo.connection);
  const validateAll = async (products: ProductDocument[]): Promise<void> => {
    for (const product of products) checkPlain(Product.schema, product);
  };
  /** Living products by a unique key. By the driver's own call, as lists are. */
  const findEach = (field: "_id" | "slugKey") =>
    together<string, ProductDocument | null>(async (keys) => {
      const wanted = [...new Set(keys)];
      const found = await Product.collection
        .find<ProductDocument>(
          { [field]: wanted.length === 1 ? wanted[0] : { $in: wanted } },
          { limit: wanted.length, maxTimeMS: OPERATION_LIMIT },
        )
        .toArray();
      const byKey = new Map(
        found.flatMap((product) => (product.deletedAt === null ? [[product[field], product]] : [])),
      );
      return keys.map((key) => byKey.get(key) ?? null);
    }, MOST_TOGETHER);
  const [findById, findBySlug] = [findEach("_id"), findEach("slugKey")];
  return {
    ...createProductLists(mongo, listLimit),
    ...createShownStore(mongo),
    ...createInStockStore(mongo, index),
    ...createProductTrees(mongo, index),

    /** @throws what `refusedFields` names, when the schema refuses one of them */
    validateAll,

    /**
     * Makes all of them, or none in a transaction that is given up.
     * @param prepared what the search made ready of them
     * @throws AppError already_exists when the slug or a SKU of one is taken
     */
    async create(products: ProductDocument[], tx?: MongoTx, prepared?: Prepared): Promise<void> {
      try {
        await validateAll(products);
        // Checked, so the driver's own: Mongoose would track every field of what nobody reads again.
        await Product.collection.insertMany(products.map(asNew) as never[], mongo.in(tx));
        await index.put(products, tx, true, prepared);
      } catch (error) {
        throw taken(error) ?? error;
      }
    },

    /** A living product. */
    findById: (id: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ _id: id, deletedAt: null }, null, mongo.in(tx)).lean(),

    findBySlug: (slugKey: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ slugKey }, null, mongo.in(tx)).lean(),

    /** A living product by its id or its slug, either in canonical form; those asked for at once in one query. */
    async find(key: string): Promise<ProductDocument | null> {
      const byId = isId(key) ? await findById(key) : null;
      // An id may be somebody's slug where it was given before such slugs were refused.
      return byId ?? findBySlug(key);
    },

    findBySku: (skuKey: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findOne({ skuKeys: skuKey }, null, mongo.in(tx)).lean(),

    findBySkus: (skuKeys: string[]): Promise<ProductDocument[]> =>
      Product.find({ skuKeys: { $in: skuKeys } }).lean(),

    findBySlugs: (slugKeys: string[]): Promise<ProductDocument[]> =>
      Product.find({ slugKey: { $in: slugKeys } }).lean(),

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
     * @param prepared what the search made ready of them
     * @returns false when one had another version: the transaction must not be committed then
     */
    async replaceMany(products: ProductDocument[], tx: MongoTx, prepared?: Prepared): Promise<boolean> {
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
        await index.put(products, tx, false, prepared);
        return true;
      } catch (error) {
        throw taken(error) ?? error;
      }
    },

    /** A page of deleted products, the last deleted first; `limit` + 1 at most. */
    listDeleted(after: { at: Date; id: string } | null, limit: number): Promise<ProductDocument[]> {
      const behind =
        after === null
          ? {}
          : { $or: [{ deletedAt: { $lt: after.at } }, { deletedAt: after.at, _id: { $lt: after.id } }] };
      return Product.find({ deletedAt: { $type: "date" }, ...behind })
        .sort({ deletedAt: -1, _id: -1 })
        .limit(limit + 1)
        .lean();
    },

    /** A product, deleted or not. */
    findAny: (id: string, tx?: MongoTx): Promise<ProductDocument | null> =>
      Product.findById(id, null, mongo.in(tx)).lean(),

    /** True when there is no product, but for deleted ones. */
    isEmpty: async (): Promise<boolean> => (await Product.exists(LIVING)) === null,

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

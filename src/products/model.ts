import { Schema } from "mongoose";
import { atMost } from "../db/at-most";
import { modelOf, partOf, schemaOf } from "../db/model";
import { metadataFault } from "./metadata";

export const PRODUCT_STATUSES = ["draft", "active", "archived"] as const;
export type ProductStatus = (typeof PRODUCT_STATUSES)[number];

/** What is bought: one form of a product, with a SKU of its own. */
export interface VariantDocument {
  _id: string;
  sku: string;
  /** Canonical form; unique among living products. */
  skuKey: string;
  name: string | null;
  /** Minor units. */
  price: number;
  currency: string;
  compareAtPrice: number | null;
  gtin: string | null;
  /** Grams. */
  weight: number | null;
  options: { name: string; value: string }[];
}

/** A typed attribute, such as weight 1.2 kg, colour "red", washable true. */
export interface AttributeDocument {
  key: string;
  value: string | number | boolean;
  /** Of a number, such as "kg"; null otherwise. */
  unit: string | null;
}

/** What a product keeps of its first picture, for lists. */
export interface CoverPicture {
  id: string;
  alt: string;
  width: number;
  height: number;
  /** Widths that there are as WebP, and as AVIF. */
  widths: number[];
  avifWidths: number[];
}

export interface ProductDocument {
  _id: string;
  name: string;
  /** The name for sorting, without accents: Äpfel before Zebra. */
  nameKey?: string;
  slug: string;
  /** Canonical slugs that are taken by the living; absent on deleted products so that they are free again. */
  slugKey?: string;
  description: string;
  brand: string | null;
  /** The brand in canonical form, for filters; absent without a brand. */
  brandKey?: string;
  attrs?: AttributeDocument[];
  /** `key=value` of every attribute in canonical form, for filters. */
  attrKeys?: string[];
  /** JSON of the shop's own; shown, never searched. */
  metadata?: Record<string, unknown>;
  status: ProductStatus;
  categoryIds: string[];
  /** The categories and all their ancestors: "with descendants" is one indexed equality. */
  categoryTree: string[];
  variants: VariantDocument[];
  /** Canonical SKUs of the living; absent when there are none or the product is deleted. */
  skuKeys?: string[];
  /** The cheapest variant, for lists and sorting. */
  price: number;
  currency: string;
  /**
   * Derived from the variants for lists (see `shown.ts`), as are the next three: the dearest variant's price, the
   * compare-at price of the cheapest, how many there are, and the names of their options. Absent on a product that
   * nobody has written since these were kept.
   */
  priceMax?: number;
  compareAtPrice?: number | null;
  variantCount?: number;
  optionNames?: string[];
  /** GTINs of 14 digits, for filters; absent when there are none. */
  gtinKeys?: string[];
  /** The first picture. Written with the pictures alone, without a new version, as is `pictureRevision`. */
  picture?: CoverPicture | null;
  /** Grows with each write of `picture`, so that two changes of a product's pictures never pass each other. */
  pictureRevision?: number;
  /** Grows with views and orders; for sorting. */
  popularity: number;
  /**
   * A variant can be had somewhere. Written by `inventory/` alone, without a new version: stock is not an edit.
   * No other write of a product may carry it or `stockRevision`, or it would put an old answer back.
   */
  inStock?: boolean;
  /** Grows with each write of `inStock`, so that an older look at the levels cannot overwrite a newer one. */
  stockRevision?: number;
  version: number;
  /** Pictures that were ever added: the guard that adding one changes, so that two cannot take one place. */
  pictureSequence?: number;
  createdAt: Date;
  updatedAt: Date;
  deletedAt: Date | null;
  /** Who deleted it: `user:ID` or `key:ID`. */
  deletedBy?: string;
}

/** Refuses what zod should have: an untyped hole would take anything. */
const flat = {
  validator: (value: unknown) => ["string", "number", "boolean"].includes(typeof value),
  message: "must be a string, a number, true or false",
};

const minorUnits = {
  type: Number,
  min: 0,
  validate: (amount: number | null | undefined) => (amount ?? null) === null || Number.isSafeInteger(amount),
};

const variantSchema = partOf<VariantDocument>(
  {
    _id: { type: String, required: true },
    sku: { type: String, required: true, validate: atMost(100) },
    skuKey: { type: String, required: true },
    name: { type: String, default: null },
    price: { ...minorUnits, required: true },
    currency: { type: String, required: true, match: /^[A-Z]{3}$/ },
    compareAtPrice: { ...minorUnits, default: null },
    gtin: { type: String, default: null },
    weight: { type: Number, min: 0, default: null },
    options: { type: [{ _id: false, name: String, value: String }], default: [] },
  },
  { strict: "throw" },
);

const coverSchema = partOf<CoverPicture>(
  {
    id: { type: String, required: true },
    alt: { type: String, default: "" },
    width: { type: Number, required: true },
    height: { type: Number, required: true },
    widths: { type: [Number], required: true },
    avifWidths: { type: [Number], required: true },
  },
  { _id: false, id: false, strict: "throw" },
);

/**
 * The products that are not deleted, to an index: those alone have a slug that is taken. `deletedAt: null` as the
 * first key of an index would not do: null stands for absent too, so it is a range and not a point, and whatever
 * comes behind it in the key narrows nothing (a page far behind read 88,000 keys of 100,000).
 */
export const LIVING = { slugKey: { $exists: true } } as const;

const schema = schemaOf<ProductDocument>(
  {
    _id: { type: String, required: true },
    name: { type: String, required: true, validate: atMost(500) },
    // A key may be longer than its text (ß, ﬃ), which alone has a limit.
    nameKey: { type: String, required: true },
    slug: { type: String, required: true },
    slugKey: String,
    description: { type: String, default: "", validate: atMost(50_000) },
    brand: { type: String, default: null, validate: atMost(200) },
    brandKey: String,
    attrs: {
      type: [
        {
          _id: false,
          key: { type: String, required: true, validate: atMost(50) },
          value: { type: Schema.Types.Mixed, required: true, validate: flat },
          unit: { type: String, default: null, validate: atMost(20) },
        },
      ],
      default: undefined,
    },
    attrKeys: { type: [String], default: undefined },
    metadata: {
      type: Schema.Types.Mixed,
      default: undefined,
      validate: (value: unknown) => !Array.isArray(value) && metadataFault(value) === undefined,
    },
    status: { type: String, required: true, enum: PRODUCT_STATUSES },
    categoryIds: { type: [String], required: true },
    categoryTree: { type: [String], required: true },
    variants: { type: [variantSchema], required: true },
    skuKeys: { type: [String], default: undefined },
    price: { ...minorUnits, required: true },
    currency: { type: String, required: true },
    priceMax: minorUnits,
    compareAtPrice: minorUnits,
    variantCount: Number,
    optionNames: { type: [String], default: undefined },
    gtinKeys: { type: [String], default: undefined },
    picture: { type: coverSchema, default: undefined },
    pictureRevision: Number,
    popularity: { type: Number, required: true, default: 0 },
    inStock: { type: Boolean, default: false },
    stockRevision: { type: Number, default: 0 },
    version: { type: Number, required: true, default: 1 },
    pictureSequence: Number,
    createdAt: { type: Date, required: true },
    updatedAt: { type: Date, required: true },
    deletedAt: { type: Date, default: null },
    deletedBy: String,
  },
  // An empty object in metadata is a value.
  { collection: "products", versionKey: false, strict: "throw", minimize: false },
)
  .index({ slugKey: 1 }, { unique: true, partialFilterExpression: LIVING })
  .index({ skuKeys: 1 }, { unique: true, partialFilterExpression: { skuKeys: { $exists: true } } })
  .index({ gtinKeys: 1 }, { partialFilterExpression: { gtinKeys: { $exists: true } } })
  .index({ status: 1, attrKeys: 1, createdAt: -1, _id: -1 }, { partialFilterExpression: LIVING });

schema.index({ categoryTree: 1, _id: 1 });
schema.index({ status: 1, currency: 1, _id: 1 }, { partialFilterExpression: LIVING });
schema.index({ deletedAt: -1, _id: -1 }, { partialFilterExpression: { deletedAt: { $type: "date" } } });

// Each sort with none or one of category and brand reads its page and no more.
for (const sort of ["createdAt", "price", "nameKey", "popularity"]) {
  for (const filter of [{}, { categoryTree: 1 }, { brandKey: 1 }] as Record<string, 1>[]) {
    schema.index({ status: 1, ...filter, [sort]: -1, _id: -1 }, { partialFilterExpression: LIVING });
  }
}

/** The products that can be had, to an index: a small one where they are few, and without it a page looks at them all. */
const IN_STOCK = { ...LIVING, inStock: true } as const;
for (const sort of ["createdAt", "price", "popularity"]) {
  schema.index({ status: 1, inStock: 1, [sort]: -1, _id: -1 }, { partialFilterExpression: IN_STOCK });
}

/** The model of products on a connection. */
export const productModel = modelOf("Product", schema);

/** A slug that a product had and gave away; its id is the slug in canonical form, so that each has one owner. */
export interface FormerSlugDocument {
  _id: string;
  productId: string;
  releasedAt: Date;
}

const formerSlugSchema = schemaOf<FormerSlugDocument>(
  {
    _id: { type: String, required: true },
    productId: { type: String, required: true },
    releasedAt: { type: Date, required: true },
  },
  { collection: "formerSlugs", versionKey: false, strict: "throw" },
);

/** The model of former slugs on a connection. */
export const formerSlugModel = modelOf("FormerSlug", formerSlugSchema);

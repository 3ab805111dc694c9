import { atMost } from "../../db/at-most";
import { modelOf, schemaOf } from "../../db/model";

/** How an attribute of the products in a category looks. */
export interface AttributeDefinition {
  key: string;
  type: "string" | "number" | "boolean" | "enum";
  /** Of a number; null otherwise. */
  unit: string | null;
  /** Of an enumeration; empty otherwise. */
  values: string[];
}

/** A category: a node of a tree with its ancestors, so that "with descendants" is one indexed query. */
export interface CategoryDocument {
  _id: string;
  name: string;
  /** The last part of the path; unique among siblings. */
  slug: string;
  /** Slugs from the root, joined by "/". Unique. */
  path: string;
  parentId: string | null;
  /** From the root to the parent. */
  ancestors: string[];
  /** Place among siblings. */
  position: number;
  /** What products in it may say of themselves, and how. */
  attributes?: AttributeDefinition[];
  /**
   * Where it was merged into, until none of its products names it any more. It has left the tree by then: nobody
   * sees it, and whoever reads it from a product is given the other.
   */
  mergedInto?: string;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

const schema = schemaOf<CategoryDocument>(
  {
    _id: { type: String, required: true },
    name: { type: String, required: true, validate: atMost(200) },
    slug: { type: String, required: true, validate: atMost(200) },
    path: { type: String, required: true, validate: atMost(2000) },
    parentId: { type: String, default: null },
    ancestors: { type: [String], required: true },
    position: { type: Number, required: true, default: 0 },
    attributes: {
      type: [
        {
          _id: false,
          key: { type: String, required: true, validate: atMost(50) },
          type: { type: String, required: true, enum: ["string", "number", "boolean", "enum"] },
          unit: { type: String, default: null, validate: atMost(20) },
          values: { type: [String], default: [] },
        },
      ],
      default: undefined,
    },
    mergedInto: String,
    version: { type: Number, required: true, default: 1 },
    createdAt: { type: Date, required: true },
    updatedAt: { type: Date, required: true },
  },
  { collection: "categories", versionKey: false, strict: "throw" },
)
  .index({ path: 1 }, { unique: true })
  .index({ slug: 1, path: 1 })
  .index({ parentId: 1, position: 1, _id: 1 })
  .index({ ancestors: 1 })
  .index({ mergedInto: 1 }, { partialFilterExpression: { mergedInto: { $exists: true } } });

/** The model of categories on a connection. */
export const categoryModel = modelOf("Category", schema);

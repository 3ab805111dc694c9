import { Schema } from "mongoose";
import { modelOf, schemaOf } from "../../db/model";
import { PRODUCT_STATUSES, type ProductStatus } from "../model";
import { FORMATS, type Format, SHOPS, type Shop } from "./shapes";

export const BULK_KINDS = ["import", "export"] as const;

/** An import or export that runs as a job of the same id, which holds how far it is. */
export interface BulkDocument {
  _id: string;
  kind: (typeof BULK_KINDS)[number];
  format: Format;
  /** Of an import. */
  dryRun: boolean;
  /** Of an import: products that are there may get the names and slugs of the file. */
  allowRename?: boolean;
  /** Of an import: the shop system whose CSV export the file is. */
  from?: Shop;
  /** Of an export: only products of this status. */
  onlyStatus: ProductStatus | null;
  /** Bytes of the file; of an export null until it is done. */
  size: number | null;
  /** Whoever asked for it. */
  createdBy: string;
  createdAt: Date;
  finishedAt: Date | null;
  /** From then on it may be removed with its files. */
  expiresAt: Date;
}

/** A row of an import that was refused. */
export interface BulkFaultDocument {
  /** The import's id, the row, and its place among the faults of the row: written twice it is the same. */
  _id: string;
  bulkId: string;
  row: number;
  message: string;
}

/** How far an import from the command line came; removed when it ends. */
export interface CheckpointDocument {
  /** A hash of what makes it the same import: path, size, time and format of the file. */
  _id: string;
  progress: unknown;
  expiresAt: Date;
}

export const PICTURE_STATES = ["waiting", "there", "added", "failed"] as const;

/** A picture that an import fetches; kept until the import is forgotten. */
export interface ImportPictureDocument {
  /** The import, and a hash of product and address: noted twice it is the same. */
  _id: string;
  importId: string;
  /** By the row of the product and the place among its pictures. */
  order: number;
  row: number;
  productId: string;
  address: string;
  alt: string;
  variantIds: string[];
  state: (typeof PICTURE_STATES)[number];
  expiresAt: Date;
}

const bulkSchema = schemaOf<BulkDocument>(
  {
    _id: { type: String, required: true },
    kind: { type: String, required: true, enum: BULK_KINDS },
    format: { type: String, required: true, enum: FORMATS },
    dryRun: { type: Boolean, required: true },
    allowRename: Boolean,
    from: { type: String, enum: SHOPS },
    onlyStatus: { type: String, enum: [...PRODUCT_STATUSES, null], default: null },
    size: { type: Number, default: null },
    createdBy: { type: String, required: true },
    createdAt: { type: Date, required: true },
    finishedAt: { type: Date, default: null },
    expiresAt: { type: Date, required: true },
  },
  { collection: "bulkJobs", versionKey: false, strict: "throw" },
);

const faultSchema = schemaOf<BulkFaultDocument>(
  {
    _id: { type: String, required: true },
    bulkId: { type: String, required: true },
    row: { type: Number, required: true },
    message: { type: String, required: true },
  },
  { collection: "bulkFaults", versionKey: false, strict: "throw" },
).index({ bulkId: 1, row: 1, _id: 1 });

const checkpointSchema = schemaOf<CheckpointDocument>(
  {
    _id: { type: String, required: true },
    progress: { type: Schema.Types.Mixed, required: true },
    expiresAt: { type: Date, required: true },
  },
  { collection: "importCheckpoints", versionKey: false, minimize: false },
).index({ expiresAt: 1 }, { expireAfterSeconds: 0 });

const importPictureSchema = schemaOf<ImportPictureDocument>(
  {
    _id: { type: String, required: true },
    importId: { type: String, required: true },
    order: { type: Number, required: true },
    row: { type: Number, required: true },
    productId: { type: String, required: true },
    address: { type: String, required: true },
    alt: { type: String, default: "" },
    variantIds: { type: [String], default: [] },
    state: { type: String, required: true, enum: PICTURE_STATES },
    expiresAt: { type: Date, required: true },
  },
  { collection: "importPictures", versionKey: false, strict: "throw" },
)
  .index({ importId: 1, state: 1, order: 1, _id: 1 })
  .index({ expiresAt: 1 }, { expireAfterSeconds: 0 });

export const bulkModel = modelOf<BulkDocument>("Bulk", bulkSchema);
export const bulkFaultModel = modelOf<BulkFaultDocument>("BulkFault", faultSchema);
export const importPictureModel = modelOf<ImportPictureDocument>("ImportPicture", importPictureSchema);
export const checkpointModel = modelOf<CheckpointDocument>("ImportCheckpoint", checkpointSchema);

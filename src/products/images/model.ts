import { atMost } from "../../db/at-most";
import { modelOf, schemaOf } from "../../db/model";

/** A picture of a product: the record; its files lie in storage under its id. */
export interface PictureDocument {
  _id: string;
  productId: string;
  alt: string;
  /** The variants that it shows; of the whole product when there are none. */
  variantIds?: string[];
  /** Place among the product's pictures; the first is the one that lists show. */
  position: number;
  width: number;
  height: number;
  /** Widths that there are as WebP. */
  widths: number[];
  /** Widths that there are as AVIF; made by a job, so empty at first. */
  avifWidths: number[];
  /** Hash of the bytes that came in; absent on pictures of before it was kept. */
  content?: string;
  /** Hashes of the addresses that an import fetched it from. */
  sources?: string[];
  version: number;
  createdAt: Date;
}

const schema = schemaOf<PictureDocument>(
  {
    _id: { type: String, required: true },
    productId: { type: String, required: true },
    alt: { type: String, default: "", validate: atMost(500) },
    variantIds: { type: [String], default: undefined },
    position: { type: Number, required: true },
    width: { type: Number, required: true },
    height: { type: Number, required: true },
    widths: { type: [Number], required: true },
    avifWidths: { type: [Number], default: [] },
    content: String,
    sources: { type: [String], default: undefined },
    version: { type: Number, required: true, default: 1 },
    createdAt: { type: Date, required: true },
  },
  { collection: "pictures", versionKey: false, strict: "throw" },
).index({ productId: 1, position: 1, _id: 1 });

/** The model of pictures on a connection. */
export const pictureModel = modelOf("Picture", schema);

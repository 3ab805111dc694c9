import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { PRODUCT_STATUSES } from "../model";
import { BULK_KINDS } from "./model";
import { FORMATS, SHOPS } from "./shapes";

/** Largest file of an import over HTTP, in bytes. */
export const MAX_IMPORT = 256 * 1024 * 1024;

export const importQuery = z.strictObject({
  dryRun: z
    .enum(["true", "false"], "must be true or false")
    .transform((text) => text === "true")
    .optional()
    .meta({ description: "Says what would be done and does nothing" }),
  from: z
    .enum(SHOPS, `must be ${SHOPS.join(", ")}`)
    .optional()
    .meta({ description: "The body is the CSV export of this shop system; see docs/catalogue.md" }),
  allowRename: z
    .enum(["true", "false"], "must be true or false")
    .transform((text) => text === "true")
    .optional()
    .meta({
      description:
        "Give products that are there the names and slugs of the file; without it such a row is refused",
    }),
});

export const exportSchema = z
  .strictObject({
    format: z.enum(FORMATS, "must be ndjson or csv"),
    status: z.enum(PRODUCT_STATUSES, "must be draft, active or archived").optional(),
  })
  .meta({ id: "Export" });

export type ExportRequest = z.output<typeof exportSchema>;

export const bulkParam = z.object({ id: idSchema });

const faultResponse = z.object({ row: z.number().int(), message: z.string() }).meta({ id: "Fault" });

const kindResponse = faultResponse
  .extend({ count: z.number().int().meta({ description: "How many rows are refused for this" }) })
  .meta({ id: "FaultKind" });

const sampleResponse = z
  .object({
    row: z.number().int(),
    outcome: z.enum(["created", "updated", "unchanged"]),
    slug: z.string(),
    name: z.string(),
    status: z.enum(PRODUCT_STATUSES),
    brand: z.string().nullable(),
    categories: z.array(z.array(z.string())),
    pictures: z.number().int(),
    variantCount: z.number().int(),
    variants: z
      .array(
        z.object({ sku: z.string(), price: z.string(), currency: z.string(), options: z.array(z.string()) }),
      )
      .meta({ description: "The first five" }),
  })
  .meta({ id: "SampleProduct" });

const picturesResponse = z
  .object({
    found: z.number().int().meta({ description: "Pictures that the file names" }),
    there: z.number().int().meta({ description: "Those that the products have already" }),
    added: z.number().int(),
    failed: z.number().int().meta({ description: "Those that cannot be had: each is a fault of its row" }),
  })
  .meta({ id: "ImportPictures" });

const bulkResponse = z
  .object({
    id: z.string(),
    kind: z.enum(BULK_KINDS),
    format: z.enum(FORMATS),
    dryRun: z.boolean(),
    status: z.enum(["waiting", "running", "done", "failed"]),
    /** How far it is: of an import bytes, of an export products. */
    progress: z.object({ done: z.number().int(), total: z.number().int().nullable() }),
    /** Of an import: what became of its products, and of the rows that were refused the first. */
    result: z
      .object({
        rows: z.number().int(),
        created: z.number().int(),
        updated: z.number().int(),
        unchanged: z.number().int(),
        failed: z.number().int(),
        ignored: z
          .array(z.object({ what: z.string(), rows: z.number().int() }))
          .meta({ description: "What the file holds that is left out or has no effect" }),
        faults: z.array(faultResponse),
        kinds: z
          .array(kindResponse)
          .meta({ description: "The first fault of each kind, and how many there are" }),
        samples: z.array(sampleResponse).meta({ description: "Of a dry run: the first ten products" }),
        pictures: picturesResponse.nullable(),
      })
      .nullable(),
    /** Where to get it: the file of an export, the refused rows of an import. */
    file: z.string().nullable(),
    createdAt: z.string(),
    finishedAt: z.string().nullable(),
    expiresAt: z.string(),
  })
  .meta({ id: "Bulk" });

export type BulkResponse = z.infer<typeof bulkResponse>;
export const bulkAnswer = dataOf(bulkResponse);

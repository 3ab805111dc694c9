import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { altSchema } from "../../media";
import { MAX_VARIANTS } from "../fields";

/** Most pictures of one product. */
export const MAX_PICTURES = 30;

export const productParam = z.object({ id: idSchema });
export const pictureParam = z.object({ id: idSchema, imageId: idSchema });
export const fileParam = pictureParam.extend({
  file: z.string().regex(/^\d{1,5}\.(webp|avif)$/, "must be a width and webp or avif, such as 640.webp"),
});

export const changePictureSchema = z
  .strictObject({
    alt: altSchema.optional(),
    position: z.int("must be a whole number").min(0).max(MAX_PICTURES).optional(),
    variantIds: z
      .array(idSchema)
      .max(MAX_VARIANTS, `must be at most ${MAX_VARIANTS} variants`)
      .optional()
      .meta({ description: "The variants of the product that it shows" }),
  })
  .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
  .meta({ id: "ChangePicture" });

export type ChangePicture = z.output<typeof changePictureSchema>;

/** A picture as lists of products show it. */
export const coverResponse = z
  .object({
    id: z.string(),
    alt: z.string(),
    width: z.number().int(),
    height: z.number().int(),
    /** By format, the smallest first. */
    sources: z.array(z.object({ type: z.string(), width: z.number().int(), url: z.string() })),
  })
  .meta({ id: "Cover" });

export const pictureResponse = coverResponse.extend({
  variantIds: z
    .array(z.string())
    .meta({ description: "The variants that it shows; of the whole product when there are none" }),
  position: z.number().int(),
  version: z.number().int(),
  createdAt: z.string(),
});

export type PictureResponse = z.infer<typeof pictureResponse>;
export const pictureAnswer = dataOf(pictureResponse);
export const pictureListAnswer = dataOf(z.array(pictureResponse));

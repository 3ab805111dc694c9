import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { altSchema } from "../../media";

/** Most pictures of one product. */
export const MAX_PICTURES = 30;

export const productParam = z.object({ id: z.uuid("must be an id") });
export const pictureParam = z.object({ id: z.uuid("must be an id"), imageId: z.uuid("must be an id") });
export const fileParam = pictureParam.extend({
  file: z.string().regex(/^\d{1,5}\.(webp|avif)$/, "must be a width and webp or avif, such as 640.webp"),
});

export const changePictureSchema = z
  .strictObject({
    alt: altSchema.optional(),
    position: z.int("must be a whole number").min(0).max(MAX_PICTURES).optional(),
  })
  .refine((change) => Object.keys(change).length > 0, { message: "give alt, position or both" })
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
  position: z.number().int(),
  version: z.number().int(),
  createdAt: z.string(),
});

export type PictureResponse = z.infer<typeof pictureResponse>;
export const pictureAnswer = dataOf(pictureResponse);
export const pictureListAnswer = dataOf(z.array(pictureResponse));

import { z } from "zod";

/** `{ data }`, the envelope of every success. */
export const dataOf = <Schema extends z.ZodType>(schema: Schema) => z.object({ data: schema });

/** `{ data: [], page }`, the envelope of every list. */
export const pageOf = <Schema extends z.ZodType>(schema: Schema) =>
  z.object({
    data: z.array(schema),
    page: z.object({
      nextCursor: z.string().nullable(),
      hasMore: z.boolean(),
      total: z.object({ value: z.number().int(), relation: z.enum(["eq", "gte"]) }).optional(),
    }),
  });

import { z } from "zod";

/** An id of ours in a path, a query or a body; in capitals it is the same. */
export const idSchema = z.uuid("must be an id").toLowerCase();

/**
 * A whole number of a query, from 1 to `most`; `fallback` when it is left out.
 * @example hours: countSchema(168, 24)
 */
export const countSchema = (most: number, fallback: number) => {
  const message = `must be a whole number between 1 and ${most}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((count) => count >= 1 && count <= most, message)
    .default(fallback);
};

/** What the query of a list says of its page. */
export const pageQuery = {
  limit: countSchema(100, 20),
  cursor: z.string().max(2000, "is too long").optional(),
};

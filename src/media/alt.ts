import { z } from "zod";
import { cleanText } from "../lib/text";

/** What a picture shows, for those who cannot see it. */
export const altSchema = z
  .string("must be a string")
  .regex(/^[^\p{Cc}]*$/u, "must not hold control characters")
  .transform(cleanText)
  .pipe(z.string().max(500, "must be at most 500 characters"));

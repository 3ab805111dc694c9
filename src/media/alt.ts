import { z } from "zod";
import { cleanText } from "../lib/text";

/** Longest text that says what a picture shows, in characters. */
export const MAX_ALT = 500;

/** What a picture shows, for those who cannot see it. */
export const altSchema = z
  .string("must be a string")
  .regex(/^[^\p{Cc}]*$/u, "must not hold control characters")
  .transform(cleanText)
  .pipe(z.string().max(MAX_ALT, `must be at most ${MAX_ALT} characters`));

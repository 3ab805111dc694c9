import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { line } from "../intake/context";

const origin = z
  .string("must be a string")
  .max(200, "must be at most 200 characters")
  .refine(
    (text) => /^https?:/.test(text) && URL.parse(text)?.origin === text,
    "must be an origin such as https://shop.example, without a path or a slash at the end",
  );

export const createWriteKeySchema = z.strictObject({
  name: line(100).min(1, "must not be empty").meta({ example: "Web shop" }),
  origins: z
    .array(origin, "must be a list")
    .max(50, "must be at most 50 origins")
    .default([])
    .meta({ description: "Pages of these origins may use it; everywhere when there are none" }),
});
export type CreateWriteKey = z.output<typeof createWriteKeySchema>;

const writeKeyResponse = z
  .object({
    key: z.string(),
    name: z.string(),
    origins: z.array(z.string()),
    createdAt: z.iso.datetime(),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: "WriteKey" });
export type WriteKeyResponse = z.output<typeof writeKeyResponse>;
export const writeKeyAnswer = dataOf(writeKeyResponse);
export const writeKeyListAnswer = dataOf(z.array(writeKeyResponse));
/** The form of a write key; an API key has another. */
const WRITE_KEY = /^wk_[A-Za-z0-9_-]{22}$/;
export const isWriteKey = (text: string): boolean => WRITE_KEY.test(text);
export const writeKeyParam = z.object({ key: z.string().regex(WRITE_KEY, "must be a write key") });

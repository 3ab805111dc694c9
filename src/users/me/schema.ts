import { z } from "zod";
import { nameSchema } from "../../auth/schema";
import { dataOf } from "../../http/describe";
import { noticesSchema } from "./notices";

/** Only what a person may change of their own row: no role, no id, no address. */
export const changeMeSchema = z
  .strictObject({ name: nameSchema.optional() })
  .refine((change) => Object.keys(change).length > 0, { message: "give a name" });

export type ChangeMe = z.output<typeof changeMeSchema>;

export const changeSettingsSchema = z.strictObject({
  notices: noticesSchema
    .partial()
    .refine((change) => Object.keys(change).length > 0, { message: "give at least one notice" }),
});

export type ChangeSettings = z.output<typeof changeSettingsSchema>;

const settingsResponse = z.object({
  notices: noticesSchema,
  /** Grows with each change of the notices; 0 while all are defaults. */
  version: z.number().int(),
});

export type SettingsResponse = z.infer<typeof settingsResponse>;
export const settingsAnswer = dataOf(settingsResponse);

import { z } from "zod";
import { emailSchema, nameSchema, proofShape, userResponse } from "../../auth";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { noticesSchema } from "../notices";

/** One's own account, with what one may do, so that a frontend can hide what is not theirs. */
const meResponse = userResponse
  .extend({ permissions: z.array(z.string()).meta({ example: ["products:write"] }) })
  .meta({ id: "Me" });
export type MeResponse = z.infer<typeof meResponse>;
export const meAnswer = dataOf(meResponse);

/** Only what a person may change of their own row: no role, no id, no address. */
export const changeMeSchema = z
  .strictObject({ name: nameSchema.optional() })
  .refine((change) => Object.keys(change).length > 0, { message: "give a name" })
  .meta({ id: "ChangeMe" });

export type ChangeMe = z.output<typeof changeMeSchema>;

export const changeSettingsSchema = z
  .strictObject({
    notices: noticesSchema
      .partial()
      .refine((change) => Object.keys(change).length > 0, { message: "give at least one notice" }),
  })
  .meta({ id: "ChangeSettings" });

export type ChangeSettings = z.output<typeof changeSettingsSchema>;

export const requestEmailChangeSchema = z
  .strictObject({
    newEmail: emailSchema,
    /** Nobody reads mail at the old address: a second factor and three days stand in for it. */
    oldAddressLost: z.boolean("must be true or false").default(false),
    ...proofShape,
  })
  .meta({ id: "RequestEmailChange" });

/** What a person gives once more to delete their account. */
export const deleteMeSchema = z.strictObject(proofShape).meta({ id: "DeleteMe" });

export const confirmEmailChangeSchema = z
  .strictObject({
    token: z.string("must be a string").max(200, "is not a token of ours"),
  })
  .meta({ id: "ConfirmEmailChange" });

const pendingEmailChange = z.object({
  id: z.string(),
  newEmail: z.string(),
  requestedAt: z.string(),
  expiresAt: z.string(),
  /** When it is made without the old address; null when both must confirm. */
  effectiveAt: z.string().nullable(),
  /** Which of the two addresses have confirmed. */
  confirmed: z.object({ old: z.boolean(), new: z.boolean() }),
});

export type PendingEmailChange = z.infer<typeof pendingEmailChange>;
export const pendingEmailChangeAnswer = dataOf(pendingEmailChange);

const confirmedEmailChange = z.object({
  status: z.enum(["waiting", "completed"]),
  /** The address whose link has not been followed yet, or the time that the old one has to object. */
  waitingFor: z.enum(["old", "new", "delay"]).nullable(),
});

export type ConfirmedEmailChange = z.infer<typeof confirmedEmailChange>;
export const confirmedEmailChangeAnswer = dataOf(confirmedEmailChange);

const settingsResponse = z
  .object({
    email: z.object({
      address: z.string(),
      /** The change that waits for links to be followed. */
      pending: pendingEmailChange.nullable(),
    }),
    notices: noticesSchema,
    /** Grows with each change of the notices; 0 while all are defaults. */
    version: z.number().int(),
  })
  .meta({ id: "SettingsData" });

export type SettingsResponse = z.infer<typeof settingsResponse>;
export const settingsAnswer = dataOf(settingsResponse);

export const avatarParam = z.object({
  id: idSchema,
  file: z.string().regex(/^\d{1,5}\.webp$/, "must be a width and webp, such as 320.webp"),
});

const exportResponse = z
  .object({
    id: z.string(),
    status: z.enum(["waiting", "ready", "failed", "expired"]),
    /** How many of its files are written; null when it is not being made. */
    progress: z.object({ done: z.number().int(), of: z.number().int() }).nullable(),
    /** Bytes of the archive. */
    size: z.number().int().nullable(),
    createdAt: z.string(),
    readyAt: z.string().nullable(),
    /** Until when it can be fetched. */
    expiresAt: z.string().nullable(),
  })
  .meta({ id: "ExportData" });

export type ExportResponse = z.infer<typeof exportResponse>;
export const exportAnswer = dataOf(exportResponse);
export const exportListAnswer = dataOf(z.array(exportResponse));
export const exportParam = z.object({ id: idSchema });

import { z } from "zod";
import { pageOf } from "../http/envelopes";
import { isId } from "../lib/text";
import { ALL_AUDIT_ACTIONS, type AuditAction } from "./actions";

const idSchema = z.string("must be given once").refine(isId, "must be an id");
const timeSchema = z.iso
  .datetime({ offset: true, error: "must be a time such as 2026-01-31T12:00:00Z" })
  .transform((text) => new Date(text));
const page = {
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string("must be given once").max(2000, "is too long").optional(),
};

/** What a list of the log is asked for. */
export interface AuditListQuery {
  action?: AuditAction;
  /** Id of a person or of a key. */
  actorId?: string;
  subjectUserId?: string;
  from?: Date;
  before?: Date;
  limit: number;
  cursor?: string;
}

export const auditListSchema = z
  .strictObject({
    "filter[action]": z
      .enum(ALL_AUDIT_ACTIONS as [AuditAction, ...AuditAction[]], "must be the name of an action")
      .optional(),
    "filter[actor]": idSchema.optional().meta({ description: "Id of a person or of an API key" }),
    "filter[subject]": idSchema.optional().meta({ description: "Id of the person it was done to" }),
    "filter[at][gte]": timeSchema.optional(),
    "filter[at][lt]": timeSchema.optional(),
    ...page,
  })
  .transform((query): AuditListQuery => {
    const given = {
      action: query["filter[action]"],
      actorId: query["filter[actor]"],
      subjectUserId: query["filter[subject]"],
      from: query["filter[at][gte]"],
      before: query["filter[at][lt]"],
      cursor: query.cursor,
    };
    const known = Object.entries(given).filter(([, value]) => value !== undefined);
    return { ...(Object.fromEntries(known) as Partial<typeof given>), limit: query.limit } as AuditListQuery;
  });

export const ownAuditSchema = z.strictObject(page);
export type OwnAuditQuery = z.output<typeof ownAuditSchema>;

const detail = z.record(z.string(), z.unknown()).meta({ example: { method: "password" } });

const auditEntryResponse = z
  .object({
    id: z.string(),
    at: z.string(),
    action: z.string().meta({ example: "sign_in.succeeded" }),
    actor: z.object({
      kind: z.enum(["user", "apiKey", "system", "anonymous"]),
      /** The person's or the key's id. */
      id: z.string().nullable(),
    }),
    subjectUserId: z.string().nullable(),
    ip: z.string().nullable(),
    userAgent: z.string().nullable(),
    detail,
  })
  .meta({ id: "AuditEntry" });

/** What a person sees of what they did and of what was done to their account. */
const ownAuditEntryResponse = z
  .object({
    id: z.string(),
    at: z.string(),
    action: z.string().meta({ example: "sign_in.succeeded" }),
    /** unknown: nobody had signed in. */
    by: z.enum(["you", "administrator", "system", "unknown"]),
    subjectUserId: z.string().nullable(),
    /** Where from; never an administrator's. */
    ip: z.string().nullable(),
    device: z.string().nullable().meta({ example: "Firefox on Linux" }),
    detail,
  })
  .meta({ id: "OwnAuditEntry" });

export type AuditEntryResponse = z.infer<typeof auditEntryResponse>;
export type OwnAuditEntryResponse = z.infer<typeof ownAuditEntryResponse>;
export const auditAnswer = pageOf(auditEntryResponse);
export const ownAuditAnswer = pageOf(ownAuditEntryResponse);

import { z } from "zod";
import { emailSchema } from "../../auth";
import { dataOf, pageOf } from "../../http/envelopes";
import { cleanText, isId, isVisible } from "../../lib/text";
import { roleNameSchema } from "../roles/schema";

export const USER_STATUSES = ["active", "unverified", "banned", "deleted"] as const;
export type UserStatus = (typeof USER_STATUSES)[number];

/** What a list of people may be sorted by; each ends in the id. */
export const USER_SORTS = ["createdAt", "name", "email"] as const;
export type UserSort = (typeof USER_SORTS)[number];

/** What a list is asked for. */
export interface UserListQuery {
  /** The beginnings of words of a name or an address. */
  q?: string;
  status?: UserStatus;
  /** The name of a role. */
  role?: string;
  sort: { name: UserSort; descending: boolean };
  limit: number;
  cursor?: string;
}

const listKeys = z.strictObject({
  q: z
    .string("must be given once")
    .max(254, "must be at most 254 characters")
    .transform(cleanText)
    .pipe(z.string().min(1, "must not be empty"))
    .optional()
    .meta({
      description:
        "The beginning of words of a name or an address, or of its domain, in any case; all of them must be there. Addresses that begin so come first.",
    }),
  "filter[status]": z.enum(USER_STATUSES, `must be one of ${USER_STATUSES.join(", ")}`).optional(),
  "filter[role]": roleNameSchema.optional(),
  sort: z
    .string("must be given once")
    .regex(/^-?(createdAt|name|email)$/, "must be createdAt, name or email, with - for descending")
    .optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string("must be given once").max(2000, "is too long").optional(),
});

export const listUsersSchema = listKeys
  .refine(({ q, sort }) => q === undefined || sort === undefined, {
    path: ["sort"],
    message: "cannot be given with q: what is found comes in the order of what matched",
  })
  .transform(
    ({ sort = "-createdAt", "filter[status]": status, "filter[role]": role, ...query }): UserListQuery => ({
      ...query,
      ...(status === undefined ? {} : { status }),
      ...(role === undefined ? {} : { role }),
      sort: { name: sort.replace("-", "") as UserSort, descending: sort.startsWith("-") },
    }),
  );

export const userParam = z.object({ id: z.string().refine(isId, "must be an id") });

const reasonSchema = z
  .string("must be a string")
  .max(1000, "must be at most 200 characters")
  .regex(/^[^\p{Cc}\u202a-\u202e\u2066-\u2069]*$/u, "must not hold control characters")
  .transform(cleanText)
  .pipe(z.string().max(200, "must be at most 200 characters").refine(isVisible, "must say why"));

/** Only what an administrator may change of another's account: no address, no password, no id. */
export const changeUserSchema = z
  .strictObject({
    /** A ban with its reason, which the person sees; null lifts it. */
    ban: z.strictObject({ reason: reasonSchema }).nullable().optional(),
    /** All roles by name: what is left out is taken away. */
    roles: z
      .array(roleNameSchema)
      .max(50, "must be at most 50")
      .transform((names) => [...new Set(names)])
      .optional(),
  })
  .refine((change) => Object.keys(change).length > 0, "give ban or roles")
  .meta({ id: "ChangeUser" });

export const startEmailChangeSchema = z
  .strictObject({ newEmail: emailSchema })
  .meta({ id: "StartEmailChange" });
export const startedResetAnswer = dataOf(
  z.object({
    /** Seconds that the link is good. */
    expiresIn: z.number().int(),
  }),
);

export type ChangeUser = z.output<typeof changeUserSchema>;

const managedUserResponse = z
  .object({
    id: z.string(),
    email: z.string(),
    name: z.string(),
    status: z.enum(USER_STATUSES),
    roles: z.array(z.string()),
    emailVerifiedAt: z.string().nullable(),
    bannedAt: z.string().nullable(),
    banReason: z.string().nullable(),
    version: z.number().int(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: "ManagedUser" });

export type ManagedUserResponse = z.infer<typeof managedUserResponse>;
export const managedUserAnswer = dataOf(managedUserResponse);
export const managedUsersAnswer = pageOf(managedUserResponse);

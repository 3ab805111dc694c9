import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { ALL_PERMISSIONS, type Permission } from "../../lib/permissions";
import { cleanText } from "../../lib/text";

const permissionsSchema = z
  .array(z.enum(ALL_PERMISSIONS as [Permission, ...Permission[]], "must be the name of a permission"))
  .max(ALL_PERMISSIONS.length, "names a permission twice")
  .transform((names) => [...new Set(names)]);

/** The name by which a role is granted. */
export const roleNameSchema = z
  .string("must be a string")
  .regex(/^[a-z][a-z0-9-]{1,49}$/, "must be 2 to 50 of a to z, 0 to 9 and -, and begin with a letter")
  .meta({ example: "support" });

const descriptionSchema = z
  .string("must be a string")
  .max(1000, "must be at most 255 characters")
  .regex(/^[^\p{Cc}]*$/u, "must not hold control characters")
  .transform(cleanText)
  .pipe(z.string().max(255, "must be at most 255 characters"));

/** Whoever has the role reaches nothing but enrolment until they sign in with a second factor or a passkey. */
const requiresSecondFactor = z.boolean("must be true or false");

export const createRoleSchema = z.strictObject({
  name: roleNameSchema,
  description: descriptionSchema.default(""),
  permissions: permissionsSchema,
  requiresSecondFactor: requiresSecondFactor.default(false),
});

/** A role keeps its name: it is what commands and clients know it by. */
export const changeRoleSchema = z
  .strictObject({
    description: descriptionSchema.optional(),
    permissions: permissionsSchema.optional(),
    requiresSecondFactor: requiresSecondFactor.optional(),
  })
  .refine(
    (change) => Object.keys(change).length > 0,
    "give a description, permissions or whether it requires a second factor",
  );

export type CreateRole = z.output<typeof createRoleSchema>;
export type ChangeRole = z.output<typeof changeRoleSchema>;

export const roleParam = z.object({ id: idSchema });

const roleResponse = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  permissions: z.array(z.string()),
  requiresSecondFactor: z.boolean(),
  /** True for the roles that are always there: admin, whose permissions never change, and customer. */
  builtIn: z.boolean(),
  version: z.number().int(),
  createdAt: z.string(),
});

export type RoleResponse = z.infer<typeof roleResponse>;
export const roleAnswer = dataOf(roleResponse);
export const rolesAnswer = dataOf(z.array(roleResponse));
export const permissionsAnswer = dataOf(z.array(z.object({ name: z.string(), description: z.string() })));

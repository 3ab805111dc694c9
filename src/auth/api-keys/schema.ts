import { z } from "zod";
import { dataOf, pageOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { ALL_PERMISSIONS, type Permission } from "../../lib/permissions";
import { proofShape } from "../mfa/schema";
import { labelSchema } from "../schema";

const permissions = z.enum(
  ALL_PERMISSIONS as [Permission, ...Permission[]],
  "must be the name of a permission",
);

export const createApiKeySchema = z
  .strictObject({
    name: labelSchema(100),
    permissions: z
      .array(permissions)
      .min(1, "must be at least one permission")
      .transform((names) => [...new Set(names)]),
    expiresInDays: z.int("must be a whole number").min(1).max(365, "must be at most 365").default(90),
    ...proofShape,
  })
  .meta({ id: "CreateApiKey" });

export type CreateApiKey = z.output<typeof createApiKeySchema>;
export const listApiKeysSchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(100),
  cursor: z.string().max(1000).optional(),
});
export type ListApiKeys = z.output<typeof listApiKeysSchema>;

export const apiKeyParam = z.object({ id: idSchema });

const apiKeyResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    permissions: z.array(permissions),
    createdAt: z.string(),
    expiresAt: z.string(),
    lastUsedAt: z.string().nullable(),
  })
  .meta({ id: "ApiKey" });

export type ApiKeyResponse = z.infer<typeof apiKeyResponse>;
export const apiKeyListAnswer = pageOf(apiKeyResponse);
/** The only answer that holds the key itself. */
export const madeApiKeyAnswer = dataOf(apiKeyResponse.extend({ key: z.string() }));

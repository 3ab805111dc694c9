import type { Actor } from "../../lib/actor";
import { type Page, pageFrom } from "../../lib/paging";
import type { AuthDeps } from "../deps";
import type { ApiKeyResponse, ListApiKeys } from "./schema";
import type { ApiKeyRow } from "./store";

export const toApiKey = (row: Omit<ApiKeyRow, "secretDigest" | "secretHash">): ApiKeyResponse => ({
  id: row.id,
  name: row.name,
  permissions: row.permissions,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

/** The caller's keys that were not revoked, the newest first, in pages. */
export async function listApiKeys(
  deps: AuthDeps,
  actor: Actor,
  { limit, cursor }: ListApiKeys,
): Promise<Page<ApiKeyResponse>> {
  const filter = { list: "api-keys", user: actor.userId };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.apiKeys.ofUser(actor.userId, {
    limit: limit + 1,
    ...(position && { before: { createdAt: new Date(String(position[0])), id: String(position[1]) } }),
  });
  return pageFrom(deps, rows, limit, filter, toApiKey, (last) => [last.createdAt.toISOString(), last.id]);
}

/** Every key of a person, also revoked ones, for the export of their data. */
export const allApiKeys = async (
  deps: AuthDeps,
  userId: string,
): Promise<(ApiKeyResponse & { revokedAt: string | null })[]> =>
  (await deps.apiKeys.ofUser(userId, { revoked: true })).map((row) => ({
    ...toApiKey(row),
    revokedAt: row.revokedAt?.toISOString() ?? null,
  }));

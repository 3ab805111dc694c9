import type { Actor } from "../../lib/actor";
import { after, DAY } from "../../lib/clock";
import { macOf } from "../../lib/crypto";
import { AppError } from "../../lib/errors";
import type { AuthDeps } from "../deps";
import { changeSignIn } from "../mfa/change-sign-in";
import { reauthenticate } from "../mfa/reauthenticate";
import type { Origin } from "../origin";
import { digestOf, formatKey, SECRET_BYTES } from "./form";
import { toApiKey } from "./list";
import type { ApiKeyResponse, CreateApiKey } from "./schema";

/** Most keys of one person that work at once. */
export const MAX_KEYS = 50;

/**
 * Makes a key for a server and tells its owner by mail. It is shown once and never again.
 * @throws AppError forbidden for a permission that its owner does not hold, conflict at the most keys, and as
 * `reauthenticate` does
 */
export async function createApiKey(
  deps: AuthDeps,
  actor: Actor,
  { name, permissions, expiresInDays, ...proof }: CreateApiKey,
  origin: Origin,
): Promise<ApiKeyResponse & { key: string }> {
  const missing = permissions.find((permission) => !actor.permissions.has(permission));
  if (missing) throw new AppError("forbidden", `You do not hold ${missing} yourself.`);
  await reauthenticate(deps, actor, proof, origin);
  const secret = deps.random.bytes(SECRET_BYTES);
  const createdAt = deps.clock.now();
  const row = {
    id: deps.random.id(),
    userId: actor.userId,
    name,
    secretDigest: digestOf(secret),
    secretHash: macOf(deps.keys("api-key")[0], secret),
    permissions,
    createdAt,
    expiresAt: after(createdAt, expiresInDays * DAY),
  };
  const act = {
    action: "api_key.created",
    detail: { keyId: row.id, name, permissions },
    notice: "api_key_created",
    keys: { made: [name] },
  } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, now) => {
    if ((await deps.apiKeys.countWorking(actor.userId, now, tx)) >= MAX_KEYS) {
      throw new AppError("conflict", `You have ${MAX_KEYS} keys that work. Revoke one first.`);
    }
    await deps.apiKeys.create(row, tx);
  });
  return { ...toApiKey({ ...row, lastUsedAt: null }), key: formatKey(row.id, secret) };
}

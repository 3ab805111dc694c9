import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { AuthDeps } from "../deps";
import { changeSignIn } from "../mfa/change-sign-in";
import type { Origin } from "../origin";

/**
 * Ends a key at once and tells its owner by mail. It asks for no proof: whoever lost a key should be quick.
 * @throws AppError not_found for one that is not the caller's
 */
export async function revokeApiKey(deps: AuthDeps, actor: Actor, id: string, origin: Origin): Promise<void> {
  const key = await deps.apiKeys.find(id, actor.userId);
  const none = () => new AppError("not_found", "You have no such key.");
  if (!key) throw none();
  const act = {
    action: "api_key.revoked",
    detail: { keyId: id },
    notice: "api_key_revoked",
    keys: { revoked: [key.name] },
  } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, now) => {
    if (!(await deps.apiKeys.revoke(id, actor.userId, now, tx))) throw none();
  });
}

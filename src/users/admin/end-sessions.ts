import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, EndSessionsOptions, Origin, SessionsEnded } from "../../auth";
import { ADMINISTRATOR, endKeysAndTell, newKeysEnd } from "../../auth";
import type { Actor } from "../../lib/actor";
import { administer } from "./authority";
import { changeable } from "./change";

/**
 * Ends every session of someone, who then has to sign in again. When the caller wants that, also revokes their API
 * keys, of which they are then told by mail, and forgets every known device of theirs.
 * @throws AppError not_found, forbidden for someone who holds more than the caller
 */
export async function endSessionsOf(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  { revokeApiKeys, forgetDevices }: EndSessionsOptions,
  origin: Origin,
): Promise<SessionsEnded> {
  const now = deps.clock.now();
  const audit = newAuditEntry(deps, "user.sessions_ended", {
    actor: auditActor(actor),
    subjectUserId: id,
    origin,
  });
  const keysEnd = newKeysEnd(deps, id, {
    revoke: revokeApiKeys,
    actor: auditActor(actor),
    reason: "ended_by_administrator",
    origin,
    told: ADMINISTRATOR,
  });
  return administer(deps, actor, ["users:write"], { audit }, async (tx, held, { tell }) => {
    await changeable(deps, id, held, tx);
    const ended = await deps.sessions.endAll(id, { reason: "ended_by_administrator", now }, tx);
    const forgotten: Record<string, number> = forgetDevices
      ? { forgotten: await deps.devices.forget(id, { now }, tx) }
      : {};
    tell({ ended, ...forgotten });
    return { ended, ...forgotten, ...(await endKeysAndTell(deps, keysEnd, tx)) };
  });
}

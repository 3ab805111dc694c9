import { mutate, newAuditEntry, person } from "../audit";
import type { Actor } from "../lib/actor";
import { AppError } from "../lib/errors";
import { isId } from "../lib/text";
import { endKeysAndTell, newKeysEnd } from "./api-keys/end";
import type { AuthDeps } from "./deps";
import { deviceOf } from "./devices/known";
import { endOwnSession } from "./logout";
import type { Origin } from "./origin";
import type { EndSessionsOptions, SessionsEnded } from "./schema";

/** Ends one of the caller's sessions. @throws AppError not_found when it is not theirs, or is not there */
export async function endOneSession(
  deps: AuthDeps,
  actor: Actor,
  sessionId: string,
  origin: Origin,
): Promise<void> {
  const session = isId(sessionId) ? await deps.sessions.find(sessionId) : null;
  if (session?.userId !== actor.userId) throw new AppError("not_found", "You have no such session.");
  await endOwnSession(deps, actor, sessionId, origin);
}

/**
 * Ends every session of the caller but this one. When they want that, also revokes their API keys, of which they are
 * then told by mail, and forgets every known device but this one.
 * @returns how many sessions and devices there were, and what became of the keys
 */
export async function endOtherSessions(
  deps: AuthDeps,
  actor: Actor,
  { revokeApiKeys, forgetDevices }: EndSessionsOptions,
  origin: Origin,
): Promise<SessionsEnded> {
  const now = deps.clock.now();
  if (actor.sessionId === null) throw new AppError("forbidden", "An API key has no session to keep.");
  const except = actor.sessionId;
  const device = await deviceOf(deps, actor);
  const audit = newAuditEntry(deps, "session.others_ended", { actor: person(actor.userId), origin });
  const keysEnd = newKeysEnd(deps, actor.userId, {
    revoke: revokeApiKeys,
    actor: person(actor.userId),
    reason: "ended_by_user",
    origin,
  });
  return mutate(deps, "mysql", { audit }, async (tx, { tell }) => {
    const ended = await deps.sessions.endAll(actor.userId, { reason: "ended_by_user", now, except }, tx);
    const forgotten: Record<string, number> = forgetDevices
      ? { forgotten: await deps.devices.forget(actor.userId, { except: device, now }, tx) }
      : {};
    tell({ ended, ...forgotten });
    return { ended, ...forgotten, ...(await endKeysAndTell(deps, keysEnd, tx)) };
  });
}

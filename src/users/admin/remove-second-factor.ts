import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, Origin } from "../../auth";
import { removeLostFactor } from "../../auth";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { administer } from "./authority";
import { changeable } from "./change";

/**
 * Takes the second factor of someone away who lost it and their backup codes, and ends their sessions.
 * @throws AppError not_found, forbidden for someone who holds more than the caller, conflict for oneself and
 * when there is none
 */
export async function removeSecondFactorOf(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  origin: Origin,
): Promise<void> {
  // Their own goes only with a proof of who they are.
  if (id === actor.userId) {
    throw new AppError("conflict", "Take your own second factor away at /auth/mfa/disable.");
  }
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const audit = newAuditEntry(deps, "user.second_factor_removed", {
    actor: auditActor(actor),
    subjectUserId: id,
    origin,
  });
  await administer(deps, actor, ["users:write"], { audit }, async (tx, held) => {
    await changeable(deps, id, held, tx);
    await removeLostFactor(deps, id, { jobId, now }, tx);
  });
}

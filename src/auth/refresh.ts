import { ANONYMOUS, mutate, newAuditEntry } from "../audit";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { type SignedIn, tokensOf } from "./complete-sign-in";
import type { AuthDeps } from "./deps";
import { newNotice } from "./jobs";
import type { Origin } from "./origin";
import { REFRESH_GRACE, sessionEnd, sessionLimits } from "./rules";

/**
 * Exchanges a refresh token for its successor. The immediate parent gives the same successor for ten seconds,
 * and after that for as long as nothing shows that the successor arrived: neither it nor an access token that
 * came with it was used. So a lost answer or twenty tabs neither sign anyone out nor fork the family. Any other
 * ends the session, and its owner is told by mail.
 * @param shared it comes from a cookie: tabs share it, and their requests and answers overtake each other. For ten
 * seconds it is not replaced again, so that none of them brings one that is two steps behind, nor sets it back.
 * @throws AppError unauthenticated for every reason alike
 */
export async function refresh(
  deps: AuthDeps,
  refreshToken: string,
  origin: Origin,
  { shared }: { shared: boolean },
): Promise<SignedIn> {
  const refuse = () => new AppError("unauthenticated", "The refresh token is not valid. Sign in again.");
  const token = deps.tokens.readRefresh(refreshToken);
  if (!token) throw refuse();
  for (;;) {
    const now = deps.clock.now();
    const session = await deps.sessions.find(token.sessionId);
    if (
      !session ||
      session.endedAt !== null ||
      session.user.bannedAt !== null ||
      session.user.deletedAt !== null
    ) {
      throw refuse();
    }
    const permissions = await deps.roles.permissionsOf(session.userId);
    if (sessionEnd(session, permissions) <= now) {
      await deps.sessions.end(session.id, { reason: "expired", now });
      throw refuse();
    }
    const inGrace = now.getTime() - session.rotatedAt.getTime() <= REFRESH_GRACE;
    const isCurrent = token.counter === session.refreshCounter;
    const isSettled = isCurrent && shared && inGrace && token.counter > 0;
    if (isCurrent && !isSettled) {
      const idle = after(now, sessionLimits(permissions).idle).getTime();
      const idleExpiresAt = new Date(Math.min(idle, session.absoluteExpiresAt.getTime()));
      // When another request was faster, the next round finds this token to be the parent.
      if (!(await deps.sessions.rotate(session.id, token.counter, now, idleExpiresAt))) continue;
      return tokensOf(deps, session.userId, session.id, token.counter + 1, idleExpiresAt);
    }
    const lost = session.seenCounter < session.refreshCounter;
    const isParent = token.counter === session.refreshCounter - 1 && (inGrace || lost);
    if (isSettled || isParent) {
      return tokensOf(deps, session.userId, session.id, session.refreshCounter, session.idleExpiresAt);
    }
    const detail = `its refresh token was used twice, from ${origin.ip}`;
    const audit = newAuditEntry(deps, "session.token_reused", {
      actor: ANONYMOUS,
      subjectUserId: session.userId,
      origin,
      detail: { sessionId: session.id },
    });
    const notice = newNotice("token_reused", deps.random.id(), session.userId, origin, now);
    await mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
      const ended = await deps.sessions.end(session.id, { reason: "refresh_reuse", detail, now }, tx);
      if (ended) await deps.jobs.mysql.enqueue(notice, tx);
      else omit();
    });
    throw refuse();
  }
}

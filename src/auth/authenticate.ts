import type { Actor } from "../lib/actor";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { actorOfKey } from "./api-keys/authenticate";
import { looksLikeKey } from "./api-keys/form";
import type { AuthDeps } from "./deps";
import { sessionEnd, TOUCH_EVERY } from "./rules";
import { rotationOf } from "./tokens";

/**
 * Says who sends a token: a person by an access token, or a server by an API key. One round trip to MySQL, so an ended
 * session or key, a ban or a changed role counts at once on every process.
 * @param options `enrolling` lets somebody through who owes a second factor that their role demands
 * @throws AppError unauthenticated, second_factor_required
 */
export async function authenticate(
  deps: AuthDeps,
  token: string,
  { enrolling = false }: { enrolling?: boolean } = {},
): Promise<Actor> {
  if (looksLikeKey(token)) return actorOfKey(deps, token);
  const claims = await deps.tokens.verifyAccess(token);
  const { sub, sid } = claims;
  const now = deps.clock.now();
  const session = await deps.sessions.findLive(sid, sub);
  if (!session || sessionEnd(session, session.permissions) <= now) {
    throw new AppError("unauthenticated", "The access token is not valid. Refresh it or sign in again.");
  }
  if (session.lacksFactor && !enrolling) {
    throw new AppError(
      "second_factor_required",
      "Your role demands a second factor. Enrol one, or sign in again with yours.",
    );
  }
  const notSince = after(now, -TOUCH_EVERY);
  if (session.lastUsedAt < notSince) await deps.sessions.touch(sid, now, notSince);
  // Whoever has this token has the answer of its refresh: its parent was not lost, and is good no longer.
  const rotation = rotationOf(claims);
  if (rotation > session.seenCounter) await deps.sessions.markRotationUsed(sid, rotation);
  return {
    kind: "user",
    callerId: `user:${sub}`,
    userId: sub,
    sessionId: sid,
    permissions: new Set(session.permissions),
    owner: session.owner,
  };
}

import { mutate, newAuditEntry, person } from "../audit";
import type { Actor } from "../lib/actor";
import { AppError } from "../lib/errors";
import { looksLikeKey } from "./api-keys/form";
import type { AuthDeps } from "./deps";
import type { Origin } from "./origin";

/** What a caller sends to sign out. Each may be missing, dead or no token at all. */
export interface SignOutTokens {
  accessToken: string | undefined;
  refreshTokens: (string | null | undefined)[];
}

/**
 * Ends every session that a token of ours names, be the token still good or not: a rotated-away refresh token
 * and an access token whose time is over name theirs too. What names none is no error, so that signing out
 * always succeeds.
 * @throws AppError forbidden for an API key
 */
export async function logout(
  deps: AuthDeps,
  { accessToken, refreshTokens }: SignOutTokens,
  origin: Origin,
): Promise<void> {
  if (accessToken !== undefined && looksLikeKey(accessToken)) {
    throw new AppError("forbidden", "An API key has no session to sign out of.");
  }
  const access = accessToken === undefined ? null : await deps.tokens.readAccess(accessToken);
  const named = new Set(
    refreshTokens.flatMap((token) => deps.tokens.readRefresh(token ?? "")?.sessionId ?? []),
  );
  if (access) named.add(access.sid);
  for (const sessionId of named) {
    const session = await deps.sessions.find(sessionId);
    if (session?.endedAt !== null) continue;
    await endOwnSession(deps, { userId: session.userId, sessionId }, sessionId, origin);
  }
}

/** Ends one of the caller's sessions, this one or another. */
export async function endOwnSession(
  deps: AuthDeps,
  actor: Pick<Actor, "userId" | "sessionId">,
  sessionId: string,
  origin: Origin,
): Promise<void> {
  const now = deps.clock.now();
  const current = sessionId === actor.sessionId;
  const audit = newAuditEntry(deps, current ? "session.signed_out" : "session.ended", {
    actor: person(actor.userId),
    origin,
    detail: { sessionId },
  });
  await mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
    const reason = current ? "signed_out" : "ended_by_user";
    if (!(await deps.sessions.end(sessionId, { reason, now }, tx))) omit();
  });
}

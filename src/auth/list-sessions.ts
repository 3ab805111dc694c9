import type { Actor } from "../lib/actor";
import { after } from "../lib/clock";
import { type Page, pageFrom } from "../lib/paging";
import { deviceName } from "../lib/user-agent";
import type { AuthDeps } from "./deps";
import { KEEP_ENDED, sessionEnd } from "./rules";
import type { SessionRow } from "./sessions.store";

/** A sign-in as its owner sees it. */
export interface SessionResponse {
  id: string;
  /** Such as "Firefox on Linux". */
  device: string;
  userAgent: string;
  ip: string;
  method: string;
  current: boolean;
  createdAt: string;
  lastUsedAt: string;
  /** When it ends by itself. */
  expiresAt: string;
  endedAt: string | null;
  /** A stable code, such as refresh_reuse. */
  endReason: string | null;
  /** In words, such as "its refresh token was used twice, from 192.0.2.1". */
  endDetail: string | null;
}

export type SessionState = "active" | "ended" | "all";

/** The caller's sessions, the newest first; ended ones for as long as they are kept. */
export async function listSessions(
  deps: AuthDeps,
  actor: Actor,
  { state, limit, cursor }: { state: SessionState; limit: number; cursor?: string },
): Promise<Page<SessionResponse>> {
  const now = deps.clock.now();
  const filter = { list: "sessions", user: actor.userId, state };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.sessions.list(actor.userId, {
    state,
    now,
    since: after(now, -KEEP_ENDED),
    limit: limit + 1,
    ...(position === undefined
      ? {}
      : { before: { createdAt: new Date(String(position[0])), id: String(position[1]) } }),
  });
  const response = (row: SessionRow): SessionResponse => {
    const expiresAt = sessionEnd(row, actor.permissions);
    const expired = row.endedAt === null && expiresAt <= now;
    return {
      id: row.id,
      device: deviceName(row.userAgent),
      userAgent: row.userAgent,
      ip: row.ip,
      method: row.method,
      current: row.id === actor.sessionId,
      createdAt: row.createdAt.toISOString(),
      lastUsedAt: row.lastUsedAt.toISOString(),
      expiresAt: expiresAt.toISOString(),
      endedAt: (expired ? expiresAt : row.endedAt)?.toISOString() ?? null,
      endReason: expired ? "expired" : row.endReason,
      endDetail: row.endDetail,
    };
  };
  return pageFrom(deps, rows, limit, filter, response, (last) => [last.createdAt.toISOString(), last.id]);
}

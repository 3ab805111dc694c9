import type { Context } from "hono";
import type { AppEnv } from "./factory";

/** Longest user agent that is kept, in characters: what the columns of sessions and the audit log hold. */
const MAX_USER_AGENT = 500;

/**
 * Where a request came from, as sessions and the audit log keep it.
 * @example requestOrigin(c) // { ip: "192.0.2.1", userAgent: "Mozilla/5.0 …" }
 */
export const requestOrigin = (c: Context<AppEnv>): { ip: string; userAgent: string } => ({
  ip: c.get("ip"),
  userAgent: (c.req.header("user-agent") ?? "unknown").slice(0, MAX_USER_AGENT),
});

import type { Context } from "hono";
import { createFactory } from "hono/factory";
import type { Actor } from "../lib/actor";
import type { ExpectedVersions } from "../lib/versions";
import type { Logger } from "../telemetry/log";
import { type CalledBy, currentScope } from "../telemetry/scope";
import { addressClassOf } from "./address";

/** What middleware leaves in the context for handlers. */
export interface AppEnv {
  Variables: {
    requestId: string;
    /** The process's own; `logOf` adds the request. */
    log: Logger;
    /** The caller's address, from a proxy header only when the proxy is configured. */
    ip: string;
    /** Set by the guards; reading it on an unguarded route is a type error of use, not of Hono. */
    actor: Actor;
    /** What If-Match names, on routes that state `ifMatch`. */
    expectedVersions: ExpectedVersions;
  };
  Bindings: {
    /** Bun's server, for the peer's address. */
    server?: { requestIP(request: Request): { address: string } | null };
  };
}

/** The one factory of applications, middleware and handlers: it fixes their environment type. */
export const factory = createFactory<AppEnv>({
  initApp: (app) => app,
  defaultAppOptions: { strict: false },
});

/** Who a request comes from, for the log. */
export function calledBy(c: Context<AppEnv>): CalledBy {
  const from = addressClassOf(c.get("ip"));
  const userId = (c.get("actor") as Actor | undefined)?.userId;
  return userId === undefined ? { from } : { from, userId };
}

/**
 * The logger of a request: its lines have the request's id and who it comes from. Made where something is logged, which
 * is seldom. In the request's scope every logger says so by itself; reads have none.
 */
export function logOf(c: Context<AppEnv>): Logger {
  const requestId = c.get("requestId");
  return currentScope()?.requestId === requestId
    ? c.get("log")
    : c.get("log").child({ requestId, ...calledBy(c) });
}

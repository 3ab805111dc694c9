import type { Context } from "hono";
import { createFactory } from "hono/factory";
import type { Actor } from "../lib/actor";
import type { ExpectedVersions } from "../lib/versions";
import type { Logger } from "../telemetry/log";

/** What middleware leaves in the context for handlers. */
export interface AppEnv {
  Variables: {
    requestId: string;
    /** The process's own; `logOf` adds the request id. */
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

/** The logger of a request: its lines have its id. Made where something is logged, which is seldom. */
export const logOf = (c: Context<AppEnv>): Logger => c.get("log").child({ requestId: c.get("requestId") });

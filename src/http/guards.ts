import type { Context } from "hono";
import { looksLikeKey } from "../auth/api-keys/form";
import { actorOfKey } from "../auth/api-keys/service";
import { sessionEnd, TOUCH_EVERY } from "../auth/rules";
import { rotationOf } from "../auth/tokens";
import type { Deps } from "../deps";
import { demand } from "../lib/actor";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import type { Permission } from "../lib/permissions";
import { type AppEnv, factory } from "./factory";

/** What was sent as `Authorization: Bearer …`, good or not. */
export const bearerOf = (c: Context<AppEnv>): string | undefined =>
  /^Bearer ([A-Za-z0-9._-]{1,4096})$/i.exec(c.req.header("authorization") ?? "")?.[1];

/**
 * Lets a signed-in caller through, a person by an access token or a server by an API key, and says who it is.
 * One round trip to MySQL a request, so an ended session or key, a ban or a changed role counts at once on
 * every process.
 * @param enrolling true where somebody may come who owes a second factor that their role demands: to get one
 */
export const requireUser = (deps: Deps, { enrolling = false } = {}) =>
  factory.createMiddleware(async (c, next) => {
    const token = bearerOf(c);
    if (token === undefined) {
      throw new AppError("unauthenticated", "Send an access token as Authorization: Bearer TOKEN.");
    }
    if (looksLikeKey(token)) {
      c.set("actor", await actorOfKey(deps, token));
      return next();
    }
    const claims = await deps.tokens.verifyAccess(token);
    const { sub, sid } = claims;
    const now = deps.clock.now();
    const session = await deps.auth.findLiveSession(sid, sub);
    if (!session || sessionEnd(session, session.permissions) <= now) {
      throw new AppError("unauthenticated", "The access token is not valid. Refresh it or sign in again.");
    }
    if (session.owesFactor && !enrolling) {
      throw new AppError(
        "second_factor_required",
        "Your role demands a second factor. Enrol one, or sign in again with yours.",
      );
    }
    const notSince = after(now, -TOUCH_EVERY);
    if (session.lastUsedAt < notSince) await deps.auth.touchSession(sid, now, notSince);
    // Whoever has this token has the answer of its refresh: its parent was not lost, and is good no longer.
    const rotation = rotationOf(claims);
    if (rotation > session.seenCounter) await deps.auth.seeRotation(sid, rotation);
    c.set("actor", {
      kind: "user",
      callerId: `user:${sub}`,
      userId: sub,
      sessionId: sid,
      permissions: new Set(session.permissions),
    });
    await next();
  });

/** Lets a person through who signed in: what is theirs alone is not for a server's key. */
export const requirePerson = (deps: Deps, options: { enrolling?: boolean } = {}) => {
  const required = requireUser(deps, options);
  return factory.createMiddleware((c, next) =>
    required(c, async () => {
      if (c.get("actor").kind !== "user") {
        throw new AppError("forbidden", "An API key cannot do this. Sign in as a person.");
      }
      await next();
    }),
  );
};

/** Says who calls when somebody does; a token that is sent must be good, none is fine. */
export const knowUser = (deps: Deps) => {
  const required = requireUser(deps);
  return factory.createMiddleware((c, next) =>
    c.req.header("authorization") === undefined ? next() : required(c, next),
  );
};

/** Lets a caller through who holds the permission; comes after `requireUser`. */
export const requirePermission = (permission: Permission) =>
  factory.createMiddleware(async (c, next) => {
    demand(c.get("actor"), permission);
    await next();
  });

/** Lets a caller through who holds at least one of these; what of the request needs which, the service says. */
export const requireSome = (...permissions: Permission[]) =>
  factory.createMiddleware(async (c, next) => {
    if (!permissions.some((permission) => c.get("actor").permissions.has(permission))) {
      throw new AppError("forbidden", `This needs the permission ${permissions.join(" or ")}.`);
    }
    await next();
  });

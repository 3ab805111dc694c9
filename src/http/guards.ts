import type { Context } from "hono";
import { type Actor, demandSome } from "../lib/actor";
import { AppError } from "../lib/errors";
import type { Permission } from "../lib/permissions";
import type { AppEnv } from "./factory";

/** Who may call a route; see `Statement.caller`. */
export type Caller = "guest" | "optional" | "user" | "person";

export interface GuardDeps {
  /**
   * Says who sends a token: a person by an access token, or a server by an API key.
   * @param options `enrolling` where somebody may come who owes a second factor that their role demands: to get one
   * @throws AppError unauthenticated, second_factor_required
   */
  authenticate(token: string, options?: { enrolling?: boolean }): Promise<Actor>;
}

/** What was sent as `Authorization: Bearer …`, good or not. */
export const bearerOf = (c: Context): string | undefined =>
  /^Bearer ([A-Za-z0-9._-]{1,4096})$/i.exec(c.req.header("authorization") ?? "")?.[1];

/** Whether a route reads no token, so that its guard has nothing to check. */
export const isForAnyone = ({
  caller = "guest",
  permission,
}: {
  caller?: Caller;
  permission?: unknown;
}): boolean => caller === "guest" && permission === undefined;

/**
 * The check of who calls. A token that is sent to a route that reads one must be good, also where none is needed: a
 * caller whose session has ended learns it, instead of being shown what guests see.
 */
export function guard(
  deps: GuardDeps,
  {
    caller = "guest",
    permission,
    enrolling = false,
  }: { caller?: Caller; permission?: Permission | readonly Permission[]; enrolling?: boolean },
): (c: Context<AppEnv>) => Promise<undefined> {
  const permissions = permission === undefined ? [] : [permission].flat();
  const needed = permissions.length > 0 || caller === "user" || caller === "person";
  const forAnyone = isForAnyone({ caller, permission });
  return async (c) => {
    if (forAnyone) return undefined;
    const token = bearerOf(c);
    if (token === undefined) {
      if (!needed && c.req.header("authorization") === undefined) return undefined;
      throw new AppError("unauthenticated", "Send an access token as Authorization: Bearer TOKEN.");
    }
    const actor = await deps.authenticate(token, { enrolling });
    if (caller === "person" && actor.kind !== "user") {
      throw new AppError("forbidden", "An API key cannot do this. Sign in as a person.");
    }
    if (permissions.length > 0) demandSome(actor, permissions);
    c.set("actor", actor);
    return undefined;
  };
}

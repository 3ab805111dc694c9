import type { Actor } from "../auth/actor";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import { toUserResponse, type UserResponse } from "./mapper";

/** The caller's own account. */
export async function readMe(deps: Deps, actor: Actor): Promise<UserResponse> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw new AppError("unauthenticated", "The account is gone. Sign in again.");
  return toUserResponse(user, await deps.users.roleNames(user.id));
}

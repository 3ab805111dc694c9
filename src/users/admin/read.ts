import type { AuthDeps } from "../../auth";
import { AppError } from "../../lib/errors";
import { toManagedUser } from "./mapper";
import type { ManagedUserResponse } from "./schema";

export const noSuchUser = () => new AppError("not_found", "There is no such person.");

/** One person. @throws AppError not_found */
export async function readUser(deps: AuthDeps, id: string): Promise<ManagedUserResponse> {
  const [user] = await deps.users.byIds([id]);
  if (!user) throw noSuchUser();
  return toManagedUser(user);
}

import { newAuditEntry, person } from "../../audit";
import type { Origin } from "../../auth";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import { toUserResponse, type UserResponse } from "../mapper";
import type { UserRow } from "../store";
import type { AccountDeps } from "./deps";
import type { ChangeMe } from "./schema";

/** The caller's account ended between the guard and the change. */
export const accountGone = (): AppError =>
  new AppError("unauthenticated", "The account is gone. Sign in again.");

/** A person as they see themselves, and the version of their row. */
export const answerOf = async (deps: AccountDeps, user: UserRow) => ({
  data: toUserResponse(user, await deps.roles.namesOf(user.id)),
  version: user.version,
});

/** The caller's own account, and its version. */
export async function readMe(
  deps: AccountDeps,
  actor: Actor,
): Promise<{ data: UserResponse; version: number }> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw accountGone();
  return answerOf(deps, user);
}

/**
 * Changes the caller's own account.
 * @param expected from If-Match
 * @throws AppError precondition_failed when it has another version
 */
export async function changeMe(
  deps: AccountDeps,
  actor: Actor,
  { name }: ChangeMe,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<{ data: UserResponse; version: number }> {
  const now = deps.clock.now();
  const audit = newAuditEntry(deps, "profile.changed", {
    actor: person(actor.userId),
    origin,
    detail: { fields: ["name"] },
  });
  const user = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const present = await deps.users.findById(actor.userId, tx);
    if (!present || name === undefined) throw accountGone();
    expectVersion(expected, present.version);
    await deps.users.rename(actor.userId, name, now, tx);
    await deps.audit.record(audit, tx);
    return { ...present, name, version: present.version + 1 };
  });
  return answerOf(deps, user);
}

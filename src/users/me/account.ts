import { createHash } from "node:crypto";
import { mutate, newAuditEntry, person } from "../../audit";
import type { Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { Actor, Owner } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import { toUserResponse } from "../mapper";
import type { UserRow } from "../store";
import type { AccountDeps } from "./deps";
import type { ChangeMe, MeResponse } from "./schema";

/** The caller's account ended between the guard and the change. */
export const accountGone = (): AppError =>
  new AppError("unauthenticated", "The account is gone. Sign in again.");

/** One's own account, and what its ETag is made of: the version of the row, and the rights beside it. */
export interface Me {
  data: MeResponse;
  version: number;
  rights: string;
}

/** A person as they see themselves. */
function meOf(user: Omit<Owner, "roles">, roles: string[], actor: Actor): Me {
  const permissions = [...actor.permissions].sort();
  const data = { ...toUserResponse(user, roles), permissions };
  // What a role may changes without the person's row.
  const rights = createHash("sha256")
    .update(JSON.stringify([data.roles, permissions]))
    .digest("hex");
  return { data, version: user.version, rights: rights.slice(0, 32) };
}

/** The caller's own account, and its version, as the check of who calls has just read it. */
export function readMe({ owner, ...actor }: Actor): Me {
  if (!owner) throw accountGone();
  return meOf(owner, owner.roles, actor);
}

/**
 * Changes a part of the caller's own account.
 * @param expected from If-Match
 * @param change writes it; null where it is as it should be
 * @throws AppError precondition_failed when it has another version
 */
export async function changeProfile(
  deps: AccountDeps,
  actor: Actor,
  { field, expected, origin }: { field: "name" | "avatar"; expected: ExpectedVersions; origin: Origin },
  change: (present: UserRow, tx: MySqlTx) => Promise<Partial<UserRow> | null>,
): Promise<Me> {
  const audit = newAuditEntry(deps, "profile.changed", {
    actor: person(actor.userId),
    origin,
    detail: { fields: [field] },
  });
  const user = await mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const present = await deps.users.findById(actor.userId, tx);
    if (!present) throw accountGone();
    expectVersion(expected, present.version);
    const changed = await change(present, tx);
    if (changed) return { ...present, ...changed, version: present.version + 1 };
    omit();
    return present;
  });
  return meOf(user, await deps.roles.namesOf(user.id), actor);
}

/** Changes the caller's own account. @throws AppError precondition_failed when it has another version */
export function changeMe(
  deps: AccountDeps,
  actor: Actor,
  { name }: ChangeMe,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<Me> {
  const now = deps.clock.now();
  return changeProfile(deps, actor, { field: "name", expected, origin }, async (_, tx) => {
    if (name === undefined) return null;
    await deps.users.rename(actor.userId, name, now, tx);
    return { name };
  });
}

import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE } from "../../lib/permissions";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import { administer, demandAll } from "../admin/authority";
import { noSuchRole, toRole } from "./read";
import type { ChangeRole, RoleResponse } from "./schema";
import type { RoleRow } from "./store";

/** A role that the caller may change: of what they hold, and as they read it. */
export async function changeable(
  deps: AuthDeps,
  id: string,
  expected: ExpectedVersions,
  held: ReadonlySet<string>,
  tx: MySqlTx,
): Promise<RoleRow> {
  const role = await deps.roles.find(id, tx);
  if (!role) throw noSuchRole();
  expectVersion(expected, role.version);
  demandAll(held, role.permissions, "The role");
  return role;
}

/**
 * Changes a role, for everyone who has it, on their next request.
 * @throws AppError not_found, precondition_failed, forbidden for what the caller does not hold, conflict for
 * the role that administers
 */
export async function changeRole(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  change: ChangeRole,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<RoleResponse> {
  const audit = newAuditEntry(deps, "role.changed", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
  });
  return administer(deps, actor, ["roles:write"], { audit }, async (tx, held, { tell }) => {
    const role = await changeable(deps, id, expected, held, tx);
    if (role.name === ADMIN_ROLE && (change.description !== undefined || change.permissions !== undefined))
      throw new AppError("conflict", `The role ${ADMIN_ROLE} always holds everything.`);
    const permissions = change.permissions ?? role.permissions;
    demandAll(held, permissions, "The role");
    await deps.roles.change(id, change, tx);
    const added = permissions.filter((name) => !role.permissions.includes(name));
    const removed = role.permissions.filter((name) => !permissions.includes(name));
    const { requiresSecondFactor = role.requiresSecondFactor } = change;
    const demand: Record<string, boolean> =
      requiresSecondFactor === role.requiresSecondFactor ? {} : { requiresSecondFactor };
    tell({ roleId: id, name: role.name, added, removed, ...demand });
    const changed = await deps.roles.find(id, tx);
    if (!changed) throw noSuchRole();
    return toRole(changed);
  });
}

import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { administer, demandAll } from "../admin/authority";
import { MAX_ROLES, toRole } from "./read";
import type { CreateRole, RoleResponse } from "./schema";

/**
 * Makes a role of permissions that the caller holds.
 * @throws AppError forbidden, already_exists, conflict at the most roles
 */
export async function createRole(
  deps: AuthDeps,
  actor: Actor,
  { name, description, permissions, requiresSecondFactor }: CreateRole,
  origin: Origin,
  record: RecordAnswer<MySqlTx>,
): Promise<RoleResponse> {
  const now = deps.clock.now();
  const id = deps.random.id();
  const audit = newAuditEntry(deps, "role.created", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
    detail: { roleId: id, name, permissions, ...(requiresSecondFactor ? { requiresSecondFactor } : {}) },
  });
  return administer(deps, actor, ["roles:write"], { audit, record }, async (tx, held) => {
    demandAll(held, permissions, "The role");
    if ((await deps.roles.count(tx)) >= MAX_ROLES) {
      throw new AppError("conflict", `There are ${MAX_ROLES} roles. Delete one first.`);
    }
    const role = { id, name, description, permissions, requiresSecondFactor };
    if (!(await deps.roles.create({ ...role, now }, tx))) {
      throw new AppError("already_exists", `There is a role ${name}.`);
    }
    return toRole({
      ...role,
      permissions: permissions.toSorted(),
      version: 1,
      createdAt: now,
    });
  });
}

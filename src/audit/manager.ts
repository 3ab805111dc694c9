import type { Context } from "hono";
import type { BaseDeps } from "../deps";
import type { AppEnv } from "../http/factory";
import { requestOrigin } from "../http/origin";
import type { Actor } from "../lib/actor";
import type { AuditAction } from "./actions";
import { type AuditEntry, auditActor, newAuditEntry, SYSTEM } from "./entry";

/** Who manages something that is nobody's own, such as goods, stock, keys and jobs, and from where. */
export interface Manager {
  actor: Actor;
  origin: ReturnType<typeof requestOrigin>;
}

/** The caller of a guarded route. */
export const managerOf = (c: Context<AppEnv>): Manager => ({
  actor: c.get("actor"),
  origin: requestOrigin(c),
});

/**
 * An entry about something that is done to nobody's account. Make it before the transaction that records it.
 * @param manager null for the system: a command, or a job
 */
export const managedEntry = (
  deps: Pick<BaseDeps, "clock" | "random">,
  manager: Manager | null,
  action: AuditAction,
  detail: AuditEntry["detail"] = {},
): AuditEntry =>
  newAuditEntry(deps, action, {
    actor: manager === null ? SYSTEM : auditActor(manager.actor),
    subjectUserId: null,
    origin: manager?.origin ?? null,
    detail,
  });

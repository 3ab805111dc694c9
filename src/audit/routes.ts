import { requirePermission, requirePerson, requireUser } from "../auth/guard";
import type { Deps } from "../deps";
import { describe } from "../http/describe";
import { factory } from "../http/factory";
import { input } from "../http/input";
import { auditAnswer, auditListSchema, ownAuditAnswer, ownAuditSchema } from "./schema";
import { listAudit, listOwnAudit } from "./service";

const tag = "Audit";

/** /api/users/audit-log: only read; nothing here changes an entry. */
export const auditRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    describe({
      summary: "Read the audit log",
      description:
        "The newest first. With more than one of action, actor and subject a page may be shorter than its limit, even empty, and still have a next one.",
      tag,
      response: auditAnswer,
      secured: true,
      errors: ["forbidden", "invalid_cursor"],
    }),
    requireUser(deps),
    requirePermission("audit:read"),
    input("query", auditListSchema),
    async (c) => c.json(await listAudit(deps, c.req.valid("query")), 200),
  );

/** /api/users/me/audit */
export const ownAuditRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    describe({
      summary: "See what you did and what was done to your account",
      tag,
      response: ownAuditAnswer,
      secured: true,
      errors: ["forbidden", "invalid_cursor"],
    }),
    requirePerson(deps),
    input("query", ownAuditSchema),
    async (c) => c.json(await listOwnAudit(deps, c.get("actor"), c.req.valid("query")), 200),
  );

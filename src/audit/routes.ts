import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import type { AuditDeps } from "./deps";
import { auditAnswer, auditListSchema, ownAuditAnswer, ownAuditSchema } from "./schema";
import { listAudit, listOwnAudit } from "./service";

const tag = "Audit";

/** /api/users/audit-log: only read; nothing here changes an entry. */
export const auditRoutes = (deps: AuditDeps) =>
  factory.createApp().get(
    "/",
    endpoint(deps, {
      id: "listAudit",
      summary: "Read the audit log",
      description:
        "The newest first. With more than one of action, actor and subject a page may be shorter than its limit, even empty, and still have a next one.",
      tag,
      permission: "audit:read",
      query: auditListSchema,
      success: { 200: auditAnswer },
      errors: ["invalid_cursor"],
    }),
    async (c) => c.json(await listAudit(deps, c.req.valid("query")), 200),
  );

/** /api/users/me/audit */
export const ownAuditRoutes = (deps: AuditDeps) =>
  factory.createApp().get(
    "/",
    endpoint(deps, {
      id: "listOwnAudit",
      summary: "See what you did and what was done to your account",
      tag,
      caller: "person",
      query: ownAuditSchema,
      success: { 200: ownAuditAnswer },
      errors: ["invalid_cursor"],
    }),
    async (c) => c.json(await listOwnAudit(deps, c.get("actor"), c.req.valid("query")), 200),
  );

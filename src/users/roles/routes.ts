import { originOf } from "../../auth/browser";
import { requirePermission, requireUser } from "../../auth/guard";
import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { once } from "../../http/idempotency";
import { input } from "../../http/input";
import {
  changeRoleSchema,
  createRoleSchema,
  permissionsAnswer,
  roleAnswer,
  roleParam,
  rolesAnswer,
} from "./schema";
import { changeRole, createRole, deleteRole, listPermissions, listRoles, readRole } from "./service";

const tag = "Administration";

/** /api/users/permissions */
export const permissionRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    describe({
      summary: "List the permissions and what they allow",
      tag,
      response: permissionsAnswer,
      secured: true,
      errors: ["forbidden"],
    }),
    requireUser(deps),
    requirePermission("users:read"),
    (c) => c.json({ data: listPermissions() }, 200),
  );

/** /api/users/roles */
export const roleRoutes = (deps: Deps) => {
  const read = requirePermission("users:read");
  const write = requirePermission("roles:write");
  return factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List the roles",
        tag,
        response: rolesAnswer,
        secured: true,
        errors: ["forbidden"],
      }),
      requireUser(deps),
      read,
      async (c) => c.json({ data: await listRoles(deps) }, 200),
    )
    .post(
      "/",
      describe({
        summary: "Make a role of permissions that you hold",
        tag,
        response: roleAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "already_exists", "conflict", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", createRoleSchema),
      (c) =>
        once(c, deps, deps.idempotency.mysql, 201, (record) =>
          createRole(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c), record),
        ),
    )
    .get(
      "/:id",
      describe({
        summary: "Read a role",
        tag,
        response: roleAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      read,
      input("param", roleParam),
      async (c) => {
        const role = await readRole(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(role.version));
        return c.json({ data: role }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Change a role for everyone who has it; If-Match is needed",
        tag,
        response: roleAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "precondition_failed", "precondition_required"],
      }),
      requireUser(deps),
      write,
      input("param", roleParam),
      input("json", changeRoleSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const change = c.req.valid("json");
        const role = await changeRole(deps, c.get("actor"), id, change, ifMatch(c, true), originOf(deps, c));
        c.header("ETag", etagOf(role.version));
        return c.json({ data: role }, 200);
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Delete a role that nobody has",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "precondition_failed"],
      }),
      requireUser(deps),
      write,
      input("param", roleParam),
      async (c) => {
        const { id } = c.req.valid("param");
        await deleteRole(deps, c.get("actor"), id, ifMatch(c), originOf(deps, c));
        return c.body(null, 204);
      },
    );
};

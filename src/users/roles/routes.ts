import type { AuthDeps } from "../../auth";
import { originOf } from "../../auth";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { idempotent } from "../../http/idempotency";
import { withEtag } from "../../http/preconditions";
import { changeRole } from "./change";
import { createRole } from "./create";
import { deleteRole } from "./delete";
import { listPermissions, listRoles, readRole } from "./read";
import {
  changeRoleSchema,
  createRoleSchema,
  permissionsAnswer,
  roleAnswer,
  roleParam,
  rolesAnswer,
} from "./schema";

const tag = "Administration";

/** /api/users/permissions */
export const permissionRoutes = (deps: AuthDeps) =>
  factory.createApp().get(
    "/",
    endpoint(deps, {
      id: "listPermissions",
      summary: "List the permissions and what they allow",
      tag,
      permission: "users:read",
      success: { 200: permissionsAnswer },
    }),
    (c) => c.json({ data: listPermissions() }, 200),
  );

/** /api/users/roles */
export const roleRoutes = (deps: AuthDeps) => {
  return factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listRoles",
        summary: "List the roles",
        tag,
        permission: "users:read",
        success: { 200: rolesAnswer },
      }),
      async (c) => c.json({ data: await listRoles(deps) }, 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createRole",
        summary: "Make a role of permissions that you hold",
        tag,
        permission: "roles:write",
        body: createRoleSchema,
        success: { 201: roleAnswer },
        errors: ["already_exists", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mysql, 201, (record) =>
          createRole(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c), record),
        ),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readRole",
        summary: "Read a role",
        tag,
        permission: "users:read",
        params: roleParam,
        success: { 200: roleAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => {
        const role = await readRole(deps, c.req.valid("param").id);
        return withEtag(c, role);
      },
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "changeRole",
        summary: "Change a role for everyone who has it; If-Match is needed",
        tag,
        permission: "roles:write",
        params: roleParam,
        body: changeRoleSchema,
        success: { 200: roleAnswer },
        errors: ["not_found", "conflict"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const change = c.req.valid("json");
        const role = await changeRole(
          deps,
          c.get("actor"),
          id,
          change,
          c.get("expectedVersions"),
          originOf(deps, c),
        );
        return withEtag(c, role);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteRole",
        summary: "Delete a role that nobody has",
        tag,
        permission: "roles:write",
        params: roleParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
        ifMatch: "optional",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        await deleteRole(deps, c.get("actor"), id, c.get("expectedVersions"), originOf(deps, c));
        return c.body(null, 204);
      },
    );
};

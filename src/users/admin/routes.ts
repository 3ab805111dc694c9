import { endedResponse, endSessionsSchema, originOf } from "../../auth";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { idempotent } from "../../http/idempotency";
import { withEtag } from "../../http/preconditions";
import type { AccountDeps } from "../me/deps";
import { pendingEmailChangeAnswer } from "../me/schema";
import { changeUser } from "./change";
import { endSessionsOf } from "./end-sessions";
import { listUsers } from "./list";
import { readUser } from "./read";
import { startEmailChange, startPasswordReset } from "./recover";
import { removeSecondFactorOf } from "./remove-second-factor";
import {
  changeUserSchema,
  listUsersSchema,
  managedUserAnswer,
  managedUsersAnswer,
  startEmailChangeSchema,
  startedResetAnswer,
  userParam,
} from "./schema";

const tag = "Administration";

/** /api/users: other people's accounts, for administrators. */
export const peopleRoutes = (deps: AccountDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listUsers",
        summary: "List and search people",
        description:
          "A page may be shorter than its limit, even empty, and still have a next one when filter[role] goes with another filter, sort or q.",
        tag,
        permission: "users:read",
        query: listUsersSchema,
        success: { 200: managedUsersAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listUsers(deps, c.req.valid("query")), 200),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readUser",
        summary: "Read a person\u2019s account",
        tag,
        permission: "users:read",
        params: userParam,
        success: { 200: managedUserAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => {
        const user = await readUser(deps, c.req.valid("param").id);
        return withEtag(c, user);
      },
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "changeUser",
        summary: "Ban someone, lift a ban, set their roles; If-Match is needed",
        description: "ban needs users:write, roles needs roles:write. A ban ends every session at once.",
        tag,
        permission: ["users:write", "roles:write"],
        params: userParam,
        body: changeUserSchema,
        success: { 200: managedUserAnswer },
        errors: ["not_found", "conflict"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const change = c.req.valid("json");
        const user = await changeUser(
          deps,
          c.get("actor"),
          id,
          change,
          c.get("expectedVersions"),
          originOf(deps, c),
        );
        return withEtag(c, user);
      },
    )
    .delete(
      "/:id/sessions",
      endpoint(deps, {
        id: "endSessionsOfUser",
        summary: "End every session of a person",
        description:
          "Their API keys go on working unless revokeApiKeys is true; the answer says which. Then they are told by mail.",
        tag,
        permission: "users:write",
        params: userParam,
        query: endSessionsSchema,
        success: { 200: endedResponse },
        errors: ["not_found"],
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const choice = c.req.valid("query");
        return c.json(
          { data: await endSessionsOf(deps, c.get("actor"), id, choice, originOf(deps, c)) },
          200,
        );
      },
    )
    .post(
      "/:id/password-reset",
      endpoint(deps, {
        id: "startPasswordResetOfUser",
        summary: "Have a link for a new password mailed to a person",
        tag,
        permission: "users:write",
        params: userParam,
        success: { 202: startedResetAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mysql, 202, (record) =>
          startPasswordReset(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c), record),
        ),
    )
    .post(
      "/:id/email-change",
      endpoint(deps, {
        id: "startEmailChangeOfUser",
        summary: "Start a change of address for a person who lost the old one",
        description:
          "A link goes to the new address. The old one is told and can end the change for three days; then it is made.",
        tag,
        permission: "users:write",
        params: userParam,
        body: startEmailChangeSchema,
        success: { 202: pendingEmailChangeAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mysql, 202, (record) => {
          const { id } = c.req.valid("param");
          return startEmailChange(deps, c.get("actor"), id, c.req.valid("json"), originOf(deps, c), record);
        }),
    )
    .delete(
      "/:id/second-factor",
      endpoint(deps, {
        id: "removeSecondFactorOfUser",
        summary: "Take a lost second factor away",
        description: "For someone who lost the app and the backup codes. Ends every session of theirs.",
        tag,
        permission: "users:write",
        params: userParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
      }),
      async (c) => {
        await removeSecondFactorOf(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

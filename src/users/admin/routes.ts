import { originOf } from "../../auth/browser";
import { requirePermission, requireSome, requireUser } from "../../auth/guard";
import { endedResponse, endSessionsSchema } from "../../auth/schema";
import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import {
  changeUserSchema,
  listUsersSchema,
  managedUserAnswer,
  managedUsersAnswer,
  userParam,
} from "./schema";
import { changeUser, endSessionsOf, listUsers, readUser, removeSecondFactorOf } from "./service";

const tag = "Administration";

/** /api/users: other people's accounts, for administrators. */
export const peopleRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List and search people",
        description:
          "A page may be shorter than its limit, even empty, and still have a next one when filter[role] goes with another filter, sort or q.",
        tag,
        response: managedUsersAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      requirePermission("users:read"),
      input("query", listUsersSchema),
      async (c) => c.json(await listUsers(deps, c.req.valid("query")), 200),
    )
    .get(
      "/:id",
      describe({
        summary: "Read a person\u2019s account",
        tag,
        response: managedUserAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      requirePermission("users:read"),
      input("param", userParam),
      async (c) => {
        const user = await readUser(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(user.version));
        return c.json({ data: user }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Ban someone, lift a ban, set their roles; If-Match is needed",
        description: "ban needs users:write, roles needs roles:write. A ban ends every session at once.",
        tag,
        response: managedUserAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "precondition_failed", "precondition_required"],
      }),
      requireUser(deps),
      requireSome("users:write", "roles:write"),
      input("param", userParam),
      input("json", changeUserSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const change = c.req.valid("json");
        const user = await changeUser(deps, c.get("actor"), id, change, ifMatch(c, true), originOf(deps, c));
        c.header("ETag", etagOf(user.version));
        return c.json({ data: user }, 200);
      },
    )
    .delete(
      "/:id/sessions",
      describe({
        summary: "End every session of a person",
        description:
          "Their API keys go on working unless revokeApiKeys is true; the answer says which. Then they are told by mail.",
        tag,
        response: endedResponse,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      requirePermission("users:write"),
      input("param", userParam),
      input("query", endSessionsSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const choice = c.req.valid("query");
        return c.json(
          { data: await endSessionsOf(deps, c.get("actor"), id, choice, originOf(deps, c)) },
          200,
        );
      },
    )
    .delete(
      "/:id/second-factor",
      describe({
        summary: "Take a lost second factor away",
        description: "For someone who lost the app and the backup codes. Ends every session of theirs.",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found", "conflict"],
      }),
      requireUser(deps),
      requirePermission("users:write"),
      input("param", userParam),
      async (c) => {
        await removeSecondFactorOf(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

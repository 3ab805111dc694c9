import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import { originOf, signedInAnswer } from "../browser";
import { requirePerson } from "../guard";
import { tokensResponse } from "../schema";
import {
  passkeyAnswer,
  passkeyListAnswer,
  passkeyParam,
  registerOptionsAnswer,
  registerOptionsSchema,
  registerSchema,
  renameSchema,
  signInOptionsAnswer,
  signInSchema,
} from "./schema";
import {
  addPasskey,
  listPasskeys,
  passkeyOptions,
  removePasskey,
  renamePasskey,
  signInOptions,
  signInWithPasskey,
} from "./service";

const tag = "Passkeys";

/** /auth/passkeys */
export const passkeyRoutes = (deps: Deps) =>
  factory
    .createApp()
    .post(
      "/sign-in/options",
      describe({
        summary: "Begin to sign in with a passkey",
        description: "Nothing is asked and the answer is the same for everybody: the passkey says who it is.",
        tag,
        response: signInOptionsAnswer,
        errors: ["too_many_requests", "origin_not_allowed"],
      }),
      async (c) => {
        c.header("Cache-Control", "no-store");
        return c.json({ data: await signInOptions(deps, c.get("ip")) }, 200);
      },
    )
    .post(
      "/sign-in/verify",
      describe({
        summary: "Sign in with a passkey",
        tag,
        response: tokensResponse,
        errors: ["invalid_credentials", "too_many_requests", "origin_not_allowed"],
      }),
      input("json", signInSchema),
      async (c) => {
        const { deviceToken, ...answer } = c.req.valid("json");
        const signedIn = await signInWithPasskey(deps, answer, originOf(deps, c, deviceToken));
        return c.json({ data: signedInAnswer(deps, c, signedIn) }, 200);
      },
    )
    .post(
      "/register/options",
      describe({
        summary: "Begin to add a passkey",
        tag,
        response: registerOptionsAnswer,
        errors: ["invalid_credentials", "invalid_code", "forbidden", "conflict", "too_many_requests"],
        secured: true,
      }),
      requirePerson(deps, { enrolling: true }),
      input("json", registerOptionsSchema),
      async (c) => {
        const data = await passkeyOptions(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    )
    .post(
      "/register/verify",
      describe({
        summary: "Add the passkey that the browser made",
        tag,
        response: passkeyAnswer,
        status: 201,
        errors: ["invalid_code", "forbidden", "already_exists", "conflict"],
        secured: true,
      }),
      requirePerson(deps, { enrolling: true }),
      input("json", registerSchema),
      async (c) => {
        const data = await addPasskey(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 201);
      },
    )
    .get(
      "/",
      describe({
        summary: "List your passkeys",
        tag,
        response: passkeyListAnswer,
        errors: ["forbidden"],
        secured: true,
      }),
      requirePerson(deps),
      async (c) => c.json({ data: await listPasskeys(deps, c.get("actor").userId) }, 200),
    )
    .patch(
      "/:id",
      describe({
        summary: "Rename a passkey",
        tag,
        response: passkeyAnswer,
        errors: ["forbidden", "not_found", "precondition_failed"],
        secured: true,
      }),
      requirePerson(deps),
      input("param", passkeyParam),
      input("json", renameSchema),
      async (c) => {
        const [{ id }, change] = [c.req.valid("param"), c.req.valid("json")];
        const data = await renamePasskey(deps, c.get("actor"), id, change, ifMatch(c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Remove a passkey",
        tag,
        status: 204,
        errors: ["forbidden", "not_found", "conflict"],
        secured: true,
      }),
      requirePerson(deps),
      input("param", passkeyParam),
      async (c) => {
        await removePasskey(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { etagOf, withEtag } from "../../http/preconditions";
import { originOf, signedInAnswer } from "../browser";
import type { AuthDeps } from "../deps";
import { tokensResponse } from "../schema";
import { addPasskey, passkeyOptions } from "./add";
import { listPasskeys, removePasskey, renamePasskey } from "./manage";
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
import { signInOptions, signInWithPasskey } from "./sign-in";

const tag = "Passkeys";

/** /auth/passkeys */
export const passkeyRoutes = (deps: AuthDeps) =>
  factory
    .createApp()
    .post(
      "/sign-in/options",
      endpoint(deps, {
        id: "startPasskeySignIn",
        summary: "Begin to sign in with a passkey",
        description: "Nothing is asked and the answer is the same for everybody: the passkey says who it is.",
        tag,
        success: { 200: signInOptionsAnswer },
        errors: ["too_many_requests", "origin_not_allowed"],
      }),
      async (c) => {
        c.header("Cache-Control", "no-store");
        return c.json({ data: await signInOptions(deps, originOf(deps, c)) }, 200);
      },
    )
    .post(
      "/sign-in/verify",
      endpoint(deps, {
        id: "signInWithPasskey",
        summary: "Sign in with a passkey",
        tag,
        body: signInSchema,
        success: { 200: tokensResponse },
        errors: ["invalid_credentials", "too_many_requests", "origin_not_allowed"],
      }),
      async (c) => {
        const { deviceToken, ...answer } = c.req.valid("json");
        const signedIn = await signInWithPasskey(deps, answer, originOf(deps, c, deviceToken));
        return c.json({ data: signedInAnswer(deps, c, signedIn) }, 200);
      },
    )
    .post(
      "/register/options",
      endpoint(deps, {
        id: "startPasskeyRegistration",
        summary: "Begin to add a passkey",
        tag,
        caller: "person",
        enrolling: true,
        body: registerOptionsSchema,
        success: { 200: registerOptionsAnswer },
        errors: ["invalid_credentials", "invalid_code", "conflict", "too_many_requests"],
      }),
      async (c) => {
        const data = await passkeyOptions(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    )
    .post(
      "/register/verify",
      endpoint(deps, {
        id: "addPasskey",
        summary: "Add the passkey that the browser made",
        tag,
        caller: "person",
        enrolling: true,
        body: registerSchema,
        success: { 201: passkeyAnswer },
        errors: ["invalid_code", "already_exists", "conflict"],
        etag: true,
      }),
      async (c) => {
        const data = await addPasskey(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 201);
      },
    )
    .get(
      "/",
      endpoint(deps, {
        id: "listPasskeys",
        summary: "List your passkeys",
        tag,
        caller: "person",
        success: { 200: passkeyListAnswer },
      }),
      async (c) => c.json({ data: await listPasskeys(deps, c.get("actor").userId) }, 200),
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "renamePasskey",
        summary: "Rename a passkey",
        tag,
        caller: "person",
        params: passkeyParam,
        body: renameSchema,
        success: { 200: passkeyAnswer },
        errors: ["not_found"],
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const [{ id }, change] = [c.req.valid("param"), c.req.valid("json")];
        const data = await renamePasskey(deps, c.get("actor"), id, change, c.get("expectedVersions"));
        return withEtag(c, data, data.version);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "removePasskey",
        summary: "Remove a passkey",
        tag,
        caller: "person",
        params: passkeyParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
      }),
      async (c) => {
        await removePasskey(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

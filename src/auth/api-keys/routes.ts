import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { originOf } from "../browser";
import type { AuthDeps } from "../deps";
import { PROOF_ERRORS } from "../mfa/schema";
import { createApiKey } from "./create";
import { listApiKeys } from "./list";
import { revokeApiKey } from "./revoke";
import {
  apiKeyListAnswer,
  apiKeyParam,
  createApiKeySchema,
  listApiKeysSchema,
  madeApiKeyAnswer,
} from "./schema";

const tag = "API keys";

/** /auth/api-keys */
export const apiKeyRoutes = (deps: AuthDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listApiKeys",
        summary: "List your keys",
        tag,
        caller: "person",
        query: listApiKeysSchema,
        success: { 200: apiKeyListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listApiKeys(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createApiKey",
        summary: "Make a key for a server; it is shown once",
        description:
          "Asks for the password, and for a code of the second factor when there is one; a sign-in with a passkey in the last ten minutes does as well. Its owner is told by mail.",
        tag,
        caller: "person",
        body: createApiKeySchema,
        success: { 201: madeApiKeyAnswer },
        errors: [...PROOF_ERRORS, "conflict"],
      }),
      async (c) => {
        const data = await createApiKey(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 201);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "revokeApiKey",
        summary: "Revoke a key; its owner is told by mail",
        tag,
        caller: "person",
        params: apiKeyParam,
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await revokeApiKey(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import { originOf } from "../browser";
import { requirePerson } from "../guard";
import { PROOF_ERRORS } from "../mfa/schema";
import {
  apiKeyListAnswer,
  apiKeyParam,
  createApiKeySchema,
  listApiKeysSchema,
  madeApiKeyAnswer,
} from "./schema";
import { createApiKey, listApiKeys, revokeApiKey } from "./service";

const tag = "API keys";

/** /auth/api-keys */
export const apiKeyRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List your keys",
        tag,
        response: apiKeyListAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requirePerson(deps),
      input("query", listApiKeysSchema),
      async (c) => c.json(await listApiKeys(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .post(
      "/",
      describe({
        summary: "Make a key for a server; it is shown once",
        description:
          "Asks for the password, and for a code of the second factor when there is one; a sign-in with a passkey in the last ten minutes does as well. Its owner is told by mail.",
        tag,
        response: madeApiKeyAnswer,
        status: 201,
        secured: true,
        errors: [...PROOF_ERRORS, "conflict"],
      }),
      requirePerson(deps),
      input("json", createApiKeySchema),
      async (c) => {
        const data = await createApiKey(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 201);
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Revoke a key; its owner is told by mail",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requirePerson(deps),
      input("param", apiKeyParam),
      async (c) => {
        await revokeApiKey(deps, c.get("actor"), c.req.valid("param").id, originOf(deps, c));
        return c.body(null, 204);
      },
    );

import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import { originOf } from "../browser";
import { requirePerson } from "../guard";
import { apiKeyListAnswer, apiKeyParam, createApiKeySchema, madeApiKeyAnswer } from "./schema";
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
        errors: ["forbidden"],
      }),
      requirePerson(deps),
      async (c) => c.json({ data: await listApiKeys(deps, c.get("actor")) }, 200),
    )
    .post(
      "/",
      describe({
        summary: "Make a key for a server; it is shown once",
        tag,
        response: madeApiKeyAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "conflict"],
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
        summary: "Revoke a key",
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

import { managerOf } from "../../audit";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { idempotent } from "../../http/idempotency";
import type { AnalyticsDeps } from "../deps";
import { createWriteKey, listWriteKeys, revokeWriteKey } from "./keys";
import { createWriteKeySchema, writeKeyAnswer, writeKeyListAnswer, writeKeyParam } from "./schema";

const KEYS = { tag: "Analytics", permission: "analytics:write" } as const;

/** /api/analytics/write-keys */
export const writeKeyRoutes = (deps: AnalyticsDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        ...KEYS,
        id: "listWriteKeys",
        summary: "List the keys that pages and apps send events with",
        success: { 200: writeKeyListAnswer },
      }),
      async (c) => c.json({ data: await listWriteKeys(deps) }, 200),
    )
    .post(
      "/",
      endpoint(deps, {
        ...KEYS,
        id: "createWriteKey",
        summary: "Make a public key for sending events",
        body: createWriteKeySchema,
        success: { 201: writeKeyAnswer },
        errors: ["conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          createWriteKey(deps, managerOf(c), c.req.valid("json"), record),
        ),
    )
    .delete(
      "/:key",
      endpoint(deps, {
        ...KEYS,
        id: "revokeWriteKey",
        summary: "Revoke a key for sending events",
        params: writeKeyParam,
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await revokeWriteKey(deps, managerOf(c), c.req.valid("param").key);
        return c.body(null, 204);
      },
    );

import { managerOf } from "../audit";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { withEtag } from "../http/preconditions";
import { levelAnswer, levelListAnswer } from "./answers";
import type { InventoryDeps } from "./deps";
import { changeLevel, createLevel, listLevels, readLevel } from "./levels";
import { tag } from "./locations.routes";
import { changeLevelSchema, createLevelSchema, idParam, listLevelsSchema } from "./schema";

export const levelRoutes = (deps: InventoryDeps) => {
  return factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listLevels",
        summary: "List levels by SKU",
        tag,
        permission: "inventory:read",
        query: listLevelsSchema,
        success: { 200: levelListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listLevels(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createLevel",
        summary: "Create an empty level with its settings",
        tag,
        permission: "inventory:write",
        body: createLevelSchema,
        success: { 201: levelAnswer },
        errors: ["already_exists"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          createLevel(deps, managerOf(c), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readLevel",
        summary: "Read a level",
        tag,
        permission: "inventory:read",
        params: idParam,
        success: { 200: levelAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => {
        const level = await readLevel(deps, c.req.valid("param").id);
        return withEtag(c, level);
      },
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "changeLevel",
        summary: "Change a level's safety threshold or backorder policy",
        description: "The ETag is of these settings: sales do not change it.",
        tag,
        permission: "inventory:write",
        params: idParam,
        body: changeLevelSchema,
        success: { 200: levelAnswer },
        errors: ["not_found"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const level = await changeLevel(
          deps,
          managerOf(c),
          id,
          c.get("expectedVersions"),
          c.req.valid("json"),
        );
        return withEtag(c, level);
      },
    );
};

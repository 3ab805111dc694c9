import { managerOf } from "../audit";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { withEtag } from "../http/preconditions";
import { locationAnswer, locationListAnswer } from "./answers";
import type { InventoryDeps } from "./deps";
import { changeLocation, createLocation, deleteLocation, listLocations, readLocation } from "./locations";
import { changeLocationSchema, createLocationSchema, idParam } from "./schema";

export const tag = "Inventory";
export const locationRoutes = (deps: InventoryDeps) => {
  return factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listLocations",
        summary: "List locations by priority",
        tag,
        permission: "inventory:read",
        success: { 200: locationListAnswer },
      }),
      async (c) => c.json({ data: await listLocations(deps) }, 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createLocation",
        summary: "Create a location",
        tag,
        permission: "inventory:write",
        body: createLocationSchema,
        success: { 201: locationAnswer },
        errors: ["already_exists"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          createLocation(deps, managerOf(c), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readLocation",
        summary: "Read a location",
        tag,
        permission: "inventory:read",
        params: idParam,
        success: { 200: locationAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => {
        const location = await readLocation(deps, c.req.valid("param").id);
        return withEtag(c, location);
      },
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "changeLocation",
        summary: "Change a location",
        tag,
        permission: "inventory:write",
        params: idParam,
        body: changeLocationSchema,
        success: { 200: locationAnswer },
        errors: ["not_found", "already_exists"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const location = await changeLocation(
          deps,
          managerOf(c),
          id,
          c.get("expectedVersions"),
          c.req.valid("json"),
        );
        return withEtag(c, location);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteLocation",
        summary: "Delete a location that never had stock",
        tag,
        permission: "inventory:write",
        params: idParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
        ifMatch: "required",
      }),
      async (c) => {
        await deleteLocation(deps, managerOf(c), c.req.valid("param").id, c.get("expectedVersions"));
        return c.body(null, 204);
      },
    );
};

import { z } from "zod";
import type { Deps } from "../deps";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { withEtag } from "../http/preconditions";
import {
  adjustSchema,
  changedLevelAnswer,
  changeLevelSchema,
  changeLocationSchema,
  createLevelSchema,
  createLocationSchema,
  idParam,
  levelAnswer,
  levelListAnswer,
  listLevelsSchema,
  listLowSchema,
  listMovementsSchema,
  listReservationsSchema,
  locationAnswer,
  locationListAnswer,
  movementListAnswer,
  productInventoryAnswer,
  renewSchema,
  repairAnswer,
  repairSchema,
  reservationAnswer,
  reservationListAnswer,
  reserveSchema,
  setSchema,
  transferAnswer,
  transferSchema,
  verificationAnswer,
  verifyQuerySchema,
} from "./schema";
import {
  adjust,
  changeLevel,
  changeLocation,
  commitReservation,
  createLevel,
  createLocation,
  deleteLocation,
  listLevels,
  listLocations,
  listMovements,
  listReservations,
  productInventory,
  readLevel,
  readLocation,
  readReservation,
  releaseReservation,
  renewReservation,
  reserve,
  setQuantity,
  transfer,
} from "./service";
import { repairSku, verifyPage, verifySku } from "./verify";

const tag = "Inventory";
const noBody = z.strictObject({}).optional();

const locationRoutes = (deps: Deps) => {
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
          createLocation(deps, c.req.valid("json"), record),
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
        const location = await changeLocation(deps, id, c.get("expectedVersions"), c.req.valid("json"));
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
        await deleteLocation(deps, c.req.valid("param").id, c.get("expectedVersions"));
        return c.body(null, 204);
      },
    );
};

const levelRoutes = (deps: Deps) => {
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
          createLevel(deps, c.get("actor"), c.req.valid("json"), record),
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
          c.get("actor"),
          id,
          c.get("expectedVersions"),
          c.req.valid("json"),
        );
        return withEtag(c, level);
      },
    );
};

const reservationRoutes = (deps: Deps) => {
  return factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listReservations",
        summary: "List reservations of a status, the newest first",
        tag,
        permission: "inventory:read",
        query: listReservationsSchema,
        success: { 200: reservationListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listReservations(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createReservation",
        summary: "Reserve stock: every line or none",
        description:
          "Holds the lines for ttlSeconds (15 minutes unless you say otherwise). Then commit, release or renew it; what is left alone is given back.",
        tag,
        permission: "inventory:write",
        body: reserveSchema,
        success: { 201: reservationAnswer },
        errors: ["insufficient_stock"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          reserve(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readReservation",
        summary: "Read a reservation",
        tag,
        permission: "inventory:read",
        params: idParam,
        success: { 200: reservationAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await readReservation(deps, c.req.valid("param").id) }, 200),
    )
    .post(
      "/:id/commit",
      endpoint(deps, {
        id: "commitReservation",
        summary: "Commit a reservation: the goods leave",
        tag,
        permission: "inventory:write",
        params: idParam,
        body: noBody,
        success: { 200: reservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          commitReservation(deps, c.get("actor"), c.req.valid("param").id, record),
        ),
    )
    .post(
      "/:id/release",
      endpoint(deps, {
        id: "releaseReservation",
        summary: "Release a reservation: the goods go back on sale",
        tag,
        permission: "inventory:write",
        params: idParam,
        body: noBody,
        success: { 200: reservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          releaseReservation(deps, c.get("actor"), c.req.valid("param").id, record),
        ),
    )
    .post(
      "/:id/renew",
      endpoint(deps, {
        id: "renewReservation",
        summary: "Hold a reservation so long from now",
        tag,
        permission: "inventory:write",
        params: idParam,
        body: renewSchema,
        success: { 200: reservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          renewReservation(deps, c.get("actor"), c.req.valid("param").id, c.req.valid("json"), record),
        ),
    );
};

/** /api/products/inventory */
export const inventoryRoutes = (deps: Deps) => {
  return factory
    .createApp()
    .route("/locations", locationRoutes(deps))
    .route("/levels", levelRoutes(deps))
    .route("/reservations", reservationRoutes(deps))
    .get(
      "/low-stock",
      endpoint(deps, {
        id: "listLowStock",
        summary: "List levels at or below their safety threshold",
        tag,
        permission: "inventory:read",
        query: listLowSchema,
        success: { 200: levelListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listLevels(deps, { ...c.req.valid("query"), low: true }), 200),
    )
    .post(
      "/adjust",
      endpoint(deps, {
        id: "adjustStock",
        summary: "Change what is on hand by a difference",
        tag,
        permission: "inventory:write",
        body: adjustSchema,
        success: { 200: changedLevelAnswer },
        errors: ["insufficient_stock"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          adjust(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .post(
      "/set",
      endpoint(deps, {
        id: "setStock",
        summary: "Set what is on hand, if it is what you expect",
        description: "409 version_conflict carries `currentQuantity` when it is not.",
        tag,
        permission: "inventory:write",
        body: setSchema,
        success: { 200: changedLevelAnswer },
        errors: ["version_conflict", "insufficient_stock"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          setQuantity(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .post(
      "/transfers",
      endpoint(deps, {
        id: "transferStock",
        summary: "Move units between two locations: every line or none",
        tag,
        permission: "inventory:write",
        body: transferSchema,
        success: { 201: transferAnswer },
        errors: ["insufficient_stock"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          transfer(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .get(
      "/movements",
      endpoint(deps, {
        id: "listStockMovements",
        summary: "List movements, the newest first",
        description: "Of one SKU (and location), of one reservation, or all.",
        tag,
        permission: "inventory:read",
        query: listMovementsSchema,
        success: { 200: movementListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listMovements(deps, c.req.valid("query")), 200),
    )
    .get(
      "/verify",
      endpoint(deps, {
        id: "verifyStock",
        summary: "Recompute levels from their movements and report differences",
        description: "Of one SKU, or of all of them a page at a time. Sales may go on.",
        tag,
        permission: "inventory:read",
        query: verifyQuerySchema,
        success: { 200: verificationAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => {
        const { sku, cursor } = c.req.valid("query");
        if (sku === undefined) return c.json(await verifyPage(deps, cursor), 200);
        return c.json({ data: await verifySku(deps, sku), page: { nextCursor: null, hasMore: false } }, 200);
      },
    )
    .post(
      "/verify/repair",
      endpoint(deps, {
        id: "repairStock",
        summary: "Write a correcting entry for each level of a SKU that differs",
        description:
          "History is never edited. Repeating it is harmless: a level that is right gets no entry.",
        tag,
        permission: "inventory:write",
        body: repairSchema,
        success: { 200: repairAnswer },
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          repairSku(deps, c.get("actor").callerId, c.req.valid("json").sku, record),
        ),
    );
};

/** /api/products/:id/inventory */
export const productInventoryRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    endpoint(deps, {
      id: "readProductInventory",
      summary: "Read the stock of a product's variants",
      tag,
      permission: "inventory:read",
      params: idParam,
      success: { 200: productInventoryAnswer },
      errors: ["not_found"],
    }),
    async (c) => c.json({ data: await productInventory(deps, c.req.valid("param").id) }, 200),
  );

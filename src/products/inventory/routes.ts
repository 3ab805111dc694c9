import { z } from "zod";
import { requirePermission, requireUser } from "../../auth/guard";
import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { once } from "../../http/idempotency";
import { input } from "../../http/input";
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
  const read = requirePermission("inventory:read");
  const write = requirePermission("inventory:write");
  return factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List locations by priority",
        tag,
        response: locationListAnswer,
        secured: true,
        errors: ["forbidden"],
      }),
      requireUser(deps),
      read,
      async (c) => c.json({ data: await listLocations(deps) }, 200),
    )
    .post(
      "/",
      describe({
        summary: "Create a location",
        tag,
        response: locationAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "already_exists", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", createLocationSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 201, (record) =>
          createLocation(deps, c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      describe({
        summary: "Read a location",
        tag,
        response: locationAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      read,
      input("param", idParam),
      async (c) => {
        const location = await readLocation(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(location.version));
        return c.json({ data: location }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Change a location",
        tag,
        response: locationAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "already_exists", "precondition_failed", "precondition_required"],
      }),
      requireUser(deps),
      write,
      input("param", idParam),
      input("json", changeLocationSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const location = await changeLocation(deps, id, ifMatch(c, true), c.req.valid("json"));
        c.header("ETag", etagOf(location.version));
        return c.json({ data: location }, 200);
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Delete a location that never had stock",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "precondition_failed", "precondition_required"],
      }),
      requireUser(deps),
      write,
      input("param", idParam),
      async (c) => {
        await deleteLocation(deps, c.req.valid("param").id, ifMatch(c, true));
        return c.body(null, 204);
      },
    );
};

const levelRoutes = (deps: Deps) => {
  const read = requirePermission("inventory:read");
  const write = requirePermission("inventory:write");
  return factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List levels by SKU",
        tag,
        response: levelListAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      read,
      input("query", listLevelsSchema),
      async (c) => c.json(await listLevels(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      describe({
        summary: "Create an empty level with its settings",
        tag,
        response: levelAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "already_exists", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", createLevelSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 201, (record) =>
          createLevel(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      describe({
        summary: "Read a level",
        tag,
        response: levelAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      read,
      input("param", idParam),
      async (c) => {
        const level = await readLevel(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(level.version));
        return c.json({ data: level }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Change a level's safety threshold or backorder policy",
        description: "The ETag is of these settings: sales do not change it.",
        tag,
        response: levelAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "precondition_failed", "precondition_required"],
      }),
      requireUser(deps),
      write,
      input("param", idParam),
      input("json", changeLevelSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const level = await changeLevel(deps, c.get("actor"), id, ifMatch(c, true), c.req.valid("json"));
        c.header("ETag", etagOf(level.version));
        return c.json({ data: level }, 200);
      },
    );
};

const reservationRoutes = (deps: Deps) => {
  const read = requirePermission("inventory:read");
  const write = requirePermission("inventory:write");
  const ending = {
    tag,
    response: reservationAnswer,
    secured: true,
    errors: ["forbidden", "not_found", "conflict", "idempotency_in_flight"] as const,
  };
  return factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List reservations of a status, the newest first",
        tag,
        response: reservationListAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      read,
      input("query", listReservationsSchema),
      async (c) => c.json(await listReservations(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      describe({
        summary: "Reserve stock: every line or none",
        description:
          "Holds the lines for ttlSeconds (15 minutes unless you say otherwise). Then commit, release or renew it; what is left alone is given back.",
        tag,
        response: reservationAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "insufficient_stock", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", reserveSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 201, (record) =>
          reserve(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      describe({
        summary: "Read a reservation",
        tag,
        response: reservationAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      read,
      input("param", idParam),
      async (c) => c.json({ data: await readReservation(deps, c.req.valid("param").id) }, 200),
    )
    .post(
      "/:id/commit",
      describe({ summary: "Commit a reservation: the goods leave", ...ending, errors: [...ending.errors] }),
      requireUser(deps),
      write,
      input("param", idParam),
      input("json", noBody),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          commitReservation(deps, c.get("actor"), c.req.valid("param").id, record),
        ),
    )
    .post(
      "/:id/release",
      describe({
        summary: "Release a reservation: the goods go back on sale",
        ...ending,
        errors: [...ending.errors],
      }),
      requireUser(deps),
      write,
      input("param", idParam),
      input("json", noBody),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          releaseReservation(deps, c.get("actor"), c.req.valid("param").id, record),
        ),
    )
    .post(
      "/:id/renew",
      describe({ summary: "Hold a reservation so long from now", ...ending, errors: [...ending.errors] }),
      requireUser(deps),
      write,
      input("param", idParam),
      input("json", renewSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          renewReservation(deps, c.get("actor"), c.req.valid("param").id, c.req.valid("json"), record),
        ),
    );
};

/** /api/products/inventory */
export const inventoryRoutes = (deps: Deps) => {
  const read = requirePermission("inventory:read");
  const write = requirePermission("inventory:write");
  return factory
    .createApp()
    .route("/locations", locationRoutes(deps))
    .route("/levels", levelRoutes(deps))
    .route("/reservations", reservationRoutes(deps))
    .get(
      "/low-stock",
      describe({
        summary: "List levels at or below their safety threshold",
        tag,
        response: levelListAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      read,
      input("query", listLowSchema),
      async (c) => c.json(await listLevels(deps, { ...c.req.valid("query"), low: true }), 200),
    )
    .post(
      "/adjust",
      describe({
        summary: "Change what is on hand by a difference",
        tag,
        response: changedLevelAnswer,
        secured: true,
        errors: ["forbidden", "insufficient_stock", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", adjustSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          adjust(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .post(
      "/set",
      describe({
        summary: "Set what is on hand, if it is what you expect",
        description: "409 version_conflict carries `currentQuantity` when it is not.",
        tag,
        response: changedLevelAnswer,
        secured: true,
        errors: ["forbidden", "version_conflict", "insufficient_stock", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", setSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          setQuantity(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .post(
      "/transfers",
      describe({
        summary: "Move units between two locations: every line or none",
        tag,
        response: transferAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "insufficient_stock", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", transferSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 201, (record) =>
          transfer(deps, c.get("actor"), c.req.valid("json"), record),
        ),
    )
    .get(
      "/movements",
      describe({
        summary: "List movements, the newest first",
        description: "Of one SKU (and location), of one reservation, or all.",
        tag,
        response: movementListAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      read,
      input("query", listMovementsSchema),
      async (c) => c.json(await listMovements(deps, c.req.valid("query")), 200),
    )
    .get(
      "/verify",
      describe({
        summary: "Recompute levels from their movements and report differences",
        description: "Of one SKU, or of all of them a page at a time. Sales may go on.",
        tag,
        response: verificationAnswer,
        secured: true,
        errors: ["forbidden", "invalid_cursor"],
      }),
      requireUser(deps),
      read,
      input("query", verifyQuerySchema),
      async (c) => {
        const { sku, cursor } = c.req.valid("query");
        if (sku === undefined) return c.json(await verifyPage(deps, cursor), 200);
        return c.json({ data: await verifySku(deps, sku), page: { nextCursor: null, hasMore: false } }, 200);
      },
    )
    .post(
      "/verify/repair",
      describe({
        summary: "Write a correcting entry for each level of a SKU that differs",
        description:
          "History is never edited. Repeating it is harmless: a level that is right gets no entry.",
        tag,
        response: repairAnswer,
        secured: true,
        errors: ["forbidden", "idempotency_in_flight"],
      }),
      requireUser(deps),
      write,
      input("json", repairSchema),
      (c) =>
        once(c, deps, deps.idempotency.mongo, 200, (record) =>
          repairSku(deps, c.get("actor").callerId, c.req.valid("json").sku, record),
        ),
    );
};

/** /api/products/:id/inventory */
export const productInventoryRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    describe({
      summary: "Read the stock of a product's variants",
      tag,
      response: productInventoryAnswer,
      secured: true,
      errors: ["forbidden", "not_found"],
    }),
    requireUser(deps),
    requirePermission("inventory:read"),
    input("param", idParam),
    async (c) => c.json({ data: await productInventory(deps, c.req.valid("param").id) }, 200),
  );

import { sourceOf } from "../http/address";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { shopperReservationAnswer, shopperReservationListAnswer } from "./answers";
import type { InventoryDeps } from "./deps";
import { tag } from "./locations.routes";
import { endSchema, idParam, shopperReserveSchema } from "./schema";
import { listOwn, readOwn, releaseOwn, reserveForShopper } from "./shoppers";

const SWITCHED = "404 unless the shop lets shoppers reserve (SHOPPER_RESERVATIONS).";

/** /api/products/inventory/own-reservations */
export const shopperRoutes = (deps: InventoryDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listOwnReservations",
        summary: "List what you hold",
        description: SWITCHED,
        tag,
        caller: "person",
        success: { 200: shopperReservationListAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await listOwn(deps, c.get("actor")) }, 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createOwnReservation",
        summary: "Hold units for yourself for a while: every line or none",
        description: `${SWITCHED} 409 conflict with \`limit\` and \`held\` above what one person or network may hold.`,
        tag,
        caller: "person",
        body: shopperReserveSchema,
        success: { 201: shopperReservationAnswer },
        errors: ["not_found", "conflict", "insufficient_stock"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          reserveForShopper(deps, c.get("actor"), sourceOf(c.get("ip")), c.req.valid("json"), record),
        ),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readOwnReservation",
        summary: "Read a reservation of yours",
        description: SWITCHED,
        tag,
        caller: "person",
        params: idParam,
        success: { 200: shopperReservationAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await readOwn(deps, c.get("actor"), c.req.valid("param").id) }, 200),
    )
    .post(
      "/:id/release",
      endpoint(deps, {
        id: "releaseOwnReservation",
        summary: "Give back a reservation of yours, or units of it",
        description: SWITCHED,
        tag,
        caller: "person",
        params: idParam,
        body: endSchema,
        success: { 200: shopperReservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          releaseOwn(deps, c.get("actor"), c.req.valid("param").id, c.req.valid("json"), record),
        ),
    );

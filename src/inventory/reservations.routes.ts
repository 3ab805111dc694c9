import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { reservationAnswer, reservationListAnswer } from "./answers";
import type { InventoryDeps } from "./deps";
import { tag } from "./locations.routes";
import { endReservation, listReservations, readReservation, renewReservation, reserve } from "./reservations";
import { endSchema, idParam, listReservationsSchema, renewSchema, reserveSchema } from "./schema";

/** Who may reserve: stock keepers, and checkouts, which may do nothing else to stock. */
const CHECKOUT = ["inventory:write", "reservations:write"] as const;

export const reservationRoutes = (deps: InventoryDeps) => {
  return factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listReservations",
        summary: "List reservations of a status, the newest first",
        tag,
        permission: ["inventory:read", "reservations:write"],
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
        permission: CHECKOUT,
        body: reserveSchema,
        success: { 201: reservationAnswer },
        errors: ["conflict", "insufficient_stock"],
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
        permission: ["inventory:read", "reservations:write"],
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
        summary: "Commit a reservation, or units of it: the goods leave",
        tag,
        permission: CHECKOUT,
        params: idParam,
        body: endSchema,
        success: { 200: reservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          endReservation(
            deps,
            c.get("actor"),
            c.req.valid("param").id,
            "committed",
            c.req.valid("json"),
            record,
          ),
        ),
    )
    .post(
      "/:id/release",
      endpoint(deps, {
        id: "releaseReservation",
        summary: "Release a reservation, or units of it: the goods go back on sale",
        tag,
        permission: CHECKOUT,
        params: idParam,
        body: endSchema,
        success: { 200: reservationAnswer },
        errors: ["not_found", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          endReservation(
            deps,
            c.get("actor"),
            c.req.valid("param").id,
            "released",
            c.req.valid("json"),
            record,
          ),
        ),
    )
    .post(
      "/:id/renew",
      endpoint(deps, {
        id: "renewReservation",
        summary: "Hold a reservation so long from now",
        tag,
        permission: CHECKOUT,
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

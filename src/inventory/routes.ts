import { managerOf } from "../audit";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import {
  changedLevelAnswer,
  levelListAnswer,
  movementListAnswer,
  productInventoryAnswer,
  repairAnswer,
  transferAnswer,
  verificationAnswer,
} from "./answers";
import type { InventoryDeps } from "./deps";
import { listLowStock } from "./levels";
import { levelRoutes } from "./levels.routes";
import { locationRoutes, tag } from "./locations.routes";
import { listMovements } from "./movements";
import { productInventory } from "./product-inventory";
import { adjust, setQuantity, transfer } from "./quantities";
import { reservationRoutes } from "./reservations.routes";
import {
  adjustSchema,
  idParam,
  listLowSchema,
  listMovementsSchema,
  repairSchema,
  setSchema,
  transferSchema,
  verifyQuerySchema,
} from "./schema";
import { shopperRoutes } from "./shoppers.routes";
import { repairSku, verifyPage, verifySku } from "./verify";

/** /api/products/inventory */
export const inventoryRoutes = (deps: InventoryDeps) => {
  return factory
    .createApp()
    .route("/locations", locationRoutes(deps))
    .route("/levels", levelRoutes(deps))
    .route("/reservations", reservationRoutes(deps))
    .route("/own-reservations", shopperRoutes(deps))
    .get(
      "/low-stock",
      endpoint(deps, {
        id: "listLowStock",
        summary: "List levels at or below their safety threshold",
        description: "Of what active products have, at active locations.",
        tag,
        permission: "inventory:read",
        query: listLowSchema,
        success: { 200: levelListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listLowStock(deps, c.req.valid("query")), 200),
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
        errors: ["insufficient_stock", "conflict"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          adjust(deps, managerOf(c), c.req.valid("json"), record),
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
          setQuantity(deps, managerOf(c), c.req.valid("json"), record),
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
          transfer(deps, managerOf(c), c.req.valid("json"), record),
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
export const productInventoryRoutes = (deps: InventoryDeps) =>
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

import { knowUser, requirePermission, requireUser } from "../auth/guard";
import type { Deps } from "../deps";
import type { ErrorCode } from "../errors";
import { describe } from "../http/describe";
import { etagOf, ifMatch } from "../http/etag";
import { factory } from "../http/factory";
import { once } from "../http/idempotency";
import { input } from "../http/input";
import { exportRoutes, importRoutes } from "./bulk/routes";
import { categoryRoutes } from "./categories/routes";
import { productListSchema } from "./filters";
import { imageRoutes } from "./images/routes";
import { inventoryRoutes, productInventoryRoutes } from "./inventory/routes";
import {
  changeProductSchema,
  createProductSchema,
  idParam,
  productAnswer,
  productListAnswer,
  searchAnswer,
  searchSchema,
} from "./schema";
import {
  changeProduct,
  createProduct,
  deleteProduct,
  listProducts,
  readProduct,
  restoreProduct,
  searchProducts,
} from "./service";

const tag = "Products";
/** What can go wrong with a change. */
const CHANGE: ErrorCode[] = [
  "forbidden",
  "not_found",
  "precondition_failed",
  "version_conflict",
  "already_exists",
];

/** /api/products */
export const productRoutes = (deps: Deps) =>
  factory
    .createApp()
    .route("/categories", categoryRoutes(deps))
    .route("/import", importRoutes(deps))
    .route("/export", exportRoutes(deps))
    .route("/inventory", inventoryRoutes(deps))
    .route("/:id/inventory", productInventoryRoutes(deps))
    .route("/:id/images", imageRoutes(deps))
    .get(
      "/search",
      describe({ summary: "Search products", tag, response: searchAnswer }),
      input("query", searchSchema),
      async (c) => c.json({ data: await searchProducts(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/",
      describe({
        summary: "List products",
        description:
          "filter[category], filter[brand], filter[status], filter[price][gte], filter[price][lte], filter[inStock], " +
          "filter[attr.KEY]=a,b; sort=createdAt|price|name|popularity with - for descending (default -createdAt); " +
          "include=variants,categories,stock (of each SKU inStock, with inventory:read also available); count=true for a total, capped at 10,000; limit and cursor.",
        tag,
        response: productListAnswer,
        errors: ["invalid_cursor", "forbidden", "invalid_input"],
      }),
      knowUser(deps),
      input("query", productListSchema),
      async (c) => c.json(await listProducts(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .post(
      "/",
      describe({
        summary: "Create a product",
        tag,
        response: productAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "already_exists", "idempotency_in_flight"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("json", createProductSchema),
      (c) => {
        const product = c.req.valid("json");
        return once(c, deps, deps.idempotency.mongo, 201, (record) =>
          createProduct(deps, c.get("actor"), product, record),
        );
      },
    )
    .get(
      "/:id",
      describe({ summary: "Read a product", tag, response: productAnswer, errors: ["not_found"] }),
      knowUser(deps),
      input("param", idParam),
      async (c) => {
        const product = await readProduct(deps, c.get("actor"), c.req.valid("param").id);
        c.header("ETag", etagOf(product.version));
        return c.json({ data: product }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Change a part of a product",
        tag,
        response: productAnswer,
        secured: true,
        errors: CHANGE,
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", idParam),
      input("json", changeProductSchema),
      async (c) => {
        const product = await changeProduct(deps, c.req.valid("param").id, c.req.valid("json"), ifMatch(c));
        c.header("ETag", etagOf(product.version));
        return c.json({ data: product }, 200);
      },
    )
    .put(
      "/:id",
      describe({
        summary: "Replace a product; If-Match is needed",
        tag,
        response: productAnswer,
        secured: true,
        errors: [...CHANGE, "precondition_required"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", idParam),
      input("json", createProductSchema),
      async (c) => {
        const { id } = c.req.valid("param");
        const product = await changeProduct(deps, id, c.req.valid("json"), ifMatch(c, true), true);
        c.header("ETag", etagOf(product.version));
        return c.json({ data: product }, 200);
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Delete a product; it can be restored",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found", "precondition_failed"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", idParam),
      async (c) => {
        await deleteProduct(deps, c.req.valid("param").id, ifMatch(c));
        return c.body(null, 204);
      },
    )
    .post(
      "/:id/restore",
      describe({
        summary: "Bring a deleted product back",
        tag,
        response: productAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "already_exists"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", idParam),
      (c) => {
        const { id } = c.req.valid("param");
        return once(c, deps, deps.idempotency.mongo, 200, (record) => restoreProduct(deps, id, record));
      },
    );

import type { Context } from "hono";
import { knowUser, requirePermission, requireUser } from "../auth/guard";
import type { Deps } from "../deps";
import type { ErrorCode } from "../errors";
import { shown } from "../http/cache";
import { describe } from "../http/describe";
import { etagOf, ifMatch } from "../http/etag";
import { factory } from "../http/factory";
import { once } from "../http/idempotency";
import { input } from "../http/input";
import { exportRoutes, importRoutes } from "./bulk/routes";
import { readMenu } from "./categories/reads";
import { categoryRoutes } from "./categories/routes";
import { menuAnswer } from "./categories/schema";
import { productListSchema, productReadSchema } from "./filters";
import { CATALOGUE, PRODUCTS } from "./freshness";
import { imageRoutes } from "./images/routes";
import { inventoryRoutes, productInventoryRoutes } from "./inventory/routes";
import { listBrands, listProducts, readProduct } from "./reads";
import {
  brandListAnswer,
  brandListSchema,
  changeProductSchema,
  createProductSchema,
  idParam,
  keyParam,
  productAnswer,
  productListAnswer,
} from "./schema";
import { searchRoutes } from "./search/routes";
import { changeProduct, createProduct, deleteProduct, restoreProduct } from "./service";

const tag = "Products";
/** What can go wrong with a change. */
const CHANGE: ErrorCode[] = [
  "forbidden",
  "not_found",
  "precondition_failed",
  "version_conflict",
  "already_exists",
];

/**
 * Answers a former slug with the present one. Not in the route's type: whoever fetches follows it and gets the
 * product.
 */
function movedTo(c: Context, moved: { id: string; slug: string }): never {
  const { search } = new URL(c.req.url);
  c.header("Location", `/api/products/${encodeURIComponent(moved.slug)}${search}`);
  return c.json({ data: moved }, 301) as never;
}

/** /api/products */
export const productRoutes = (deps: Deps) =>
  factory
    .createApp()
    .route("/categories", categoryRoutes(deps))
    .route("/import", importRoutes(deps))
    .route("/export", exportRoutes(deps))
    .route("/inventory", inventoryRoutes(deps))
    .route("/search", searchRoutes(deps))
    .route("/:id/inventory", productInventoryRoutes(deps))
    .route("/:id/images", imageRoutes(deps))
    .get(
      "/brands",
      describe({
        summary: "List brands with how many active products they have",
        tag,
        response: brandListAnswer,
        errors: ["invalid_cursor"],
      }),
      shown(CATALOGUE),
      input("query", brandListSchema),
      async (c) => c.json(await listBrands(deps, c.req.valid("query")), 200),
    )
    .get(
      "/menu",
      describe({
        summary: "The tree of categories for a menu",
        description:
          "Nested, with the number of active products in each and below it; siblings by position, then by name. " +
          "Counts are exact in a shop of up to some 10,000 products, and at most half a minute old in a larger one.",
        tag: "Categories",
        response: menuAnswer,
      }),
      shown(CATALOGUE),
      async (c) => c.json({ data: await readMenu(deps) }, 200),
    )
    .get(
      "/",
      describe({
        summary: "List products",
        description:
          "filter[id]=a,b, filter[sku]=a,b, filter[gtin]=a,b, filter[category] (id, slug or path), filter[brand], filter[status], filter[price][gte], filter[price][lte], filter[inStock], " +
          "filter[attr.KEY]=a,b; sort=createdAt|price|name|popularity with - for descending (default -createdAt); " +
          "include=images,variants,categories,breadcrumbs,stock (of each SKU inStock, with inventory:read also available); count=true for a total, capped at 10,000; limit and cursor.",
        tag,
        response: productListAnswer,
        errors: ["invalid_cursor", "forbidden", "invalid_input"],
      }),
      shown(PRODUCTS),
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
      describe({
        summary: "Read a product by its id or slug",
        description:
          "include=images,categories,breadcrumbs,stock. A slug that the product had before is answered with 301, the " +
          "new address as Location and `{ data: { id, slug } }`.",
        tag,
        response: productAnswer,
        errors: ["not_found"],
      }),
      shown(PRODUCTS),
      knowUser(deps),
      input("param", keyParam),
      input("query", productReadSchema),
      async (c) => {
        const { include = [] } = c.req.valid("query") ?? {};
        const found = await readProduct(deps, c.get("actor"), c.req.valid("param").id, include);
        if ("moved" in found) return movedTo(c, found.moved);
        c.header("ETag", etagOf(found.product.version));
        return c.json({ data: found.product }, 200);
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
      input("param", keyParam),
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
      input("param", keyParam),
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
      input("param", keyParam),
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

import { requirePermission, requireUser } from "../auth/guard";
import type { Deps } from "../deps";
import { describe } from "../http/describe";
import { etagOf } from "../http/etag";
import { factory } from "../http/factory";
import { once } from "../http/idempotency";
import { input } from "../http/input";
import { categoryRoutes } from "./categories/routes";
import { imageRoutes } from "./images/routes";
import { inventoryRoutes, productInventoryRoutes } from "./inventory/routes";
import {
  createProductSchema,
  idParam,
  listProductsSchema,
  productAnswer,
  productListAnswer,
  searchAnswer,
  searchSchema,
} from "./schema";
import { createProduct, listProducts, readProduct, searchProducts } from "./service";

const tag = "Products";

/** /api/products */
export const productRoutes = (deps: Deps) =>
  factory
    .createApp()
    .route("/categories", categoryRoutes(deps))
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
        summary: "List products, the newest first",
        tag,
        response: productListAnswer,
        errors: ["invalid_cursor"],
      }),
      input("query", listProductsSchema),
      async (c) => c.json(await listProducts(deps, c.req.valid("query")), 200),
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
      input("param", idParam),
      async (c) => {
        const product = await readProduct(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(product.version));
        return c.json({ data: product }, 200);
      },
    );

import type { Context } from "hono";
import { managerOf } from "../audit";
import { shown } from "../http/cache";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { etagOf, withEtag } from "../http/preconditions";
import type { ErrorCode } from "../lib/errors";
import { brandListAnswer, deletedListAnswer, productAnswer, productListAnswer } from "./answers";
import { exportRoutes, importRoutes } from "./bulk/routes";
import { readMenu } from "./categories/reads";
import { categoryRoutes } from "./categories/routes";
import { menuAnswer } from "./categories/schema";
import { changeProduct } from "./change";
import { createProduct } from "./create";
import { deleteProduct, listDeleted, restoreProduct } from "./delete";
import type { ProductDeps } from "./deps";
import { productListSchema, productReadSchema } from "./filters";
import { CATALOGUE, PRODUCTS } from "./freshness";
import { imageRoutes } from "./images/routes";
import { listBrands, listProducts, readProduct } from "./reads";
import {
  brandListSchema,
  changeProductSchema,
  createProductSchema,
  deletedListSchema,
  idParam,
  keyParam,
  leaveStockQuery,
} from "./schema";
import { searchRoutes } from "./search/routes";
import { variantRoutes } from "./variants.routes";

const tag = "Products";
/** What can go wrong with a change. */
const CHANGE = [
  "forbidden",
  "not_found",
  "precondition_failed",
  "version_conflict",
  "already_exists",
  "conflict",
] as const satisfies readonly ErrorCode[];

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
export const productRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .route("/categories", categoryRoutes(deps))
    .route("/import", importRoutes(deps))
    .route("/export", exportRoutes(deps))
    .route("/search", searchRoutes(deps))
    .route("/:id/images", imageRoutes(deps))
    .route("/:id/variants", variantRoutes(deps))
    .get(
      "/deleted",
      endpoint(deps, {
        id: "listDeletedProducts",
        summary: "List deleted products, the last deleted first",
        description: "By whom and when; POST /:id/restore brings one back.",
        tag,
        permission: "products:write",
        query: deletedListSchema,
        success: { 200: deletedListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listDeleted(deps, c.req.valid("query")), 200),
    )
    .get(
      "/brands",
      shown(CATALOGUE),
      endpoint(deps, {
        id: "listBrands",
        summary: "List brands with how many active products they have",
        tag,
        query: brandListSchema,
        success: { 200: brandListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listBrands(deps, c.req.valid("query")), 200),
    )
    .get(
      "/menu",
      shown(CATALOGUE),
      endpoint(deps, {
        id: "readMenu",
        summary: "The tree of categories for a menu",
        description:
          "Nested, with the number of active products in each and below it; siblings by position, then by name. " +
          "Counts are exact in a shop of up to some 10,000 products, and at most half a minute old in a larger one.",
        tag: "Categories",
        success: { 200: menuAnswer },
      }),
      async (c) => c.json({ data: await readMenu(deps) }, 200),
    )
    .get(
      "/",
      shown(PRODUCTS),
      endpoint(deps, {
        id: "listProducts",
        summary: "List products",
        description:
          "filter[id]=a,b, filter[sku]=a,b, filter[gtin]=a,b, filter[category] (id, slug or path), filter[brand], filter[status], filter[price][gte], filter[price][lte], filter[inStock], " +
          "filter[attr.KEY]=a,b; sort=createdAt|price|name|popularity with - for descending (default -createdAt); " +
          "include=images,variants,categories,breadcrumbs,stock (of each SKU inStock, with inventory:read also available); count=true for a total, capped at 10,000; limit and cursor.",
        tag,
        caller: "optional",
        query: productListSchema,
        success: { 200: productListAnswer },
        errors: ["invalid_cursor", "forbidden"],
      }),
      async (c) => c.json(await listProducts(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createProduct",
        summary: "Create a product",
        tag,
        permission: "products:write",
        body: createProductSchema,
        success: { 201: productAnswer },
        errors: ["already_exists"],
        idempotent: true,
      }),
      (c) => {
        const product = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          createProduct(deps, managerOf(c), product, record),
        );
      },
    )
    .get(
      "/:id",
      shown(PRODUCTS),
      endpoint(deps, {
        id: "readProduct",
        summary: "Read a product by its id or slug",
        description:
          "include=images,categories,breadcrumbs,stock. A slug that the product had before is answered with 301, the " +
          "new address as Location and `{ data: { id, slug } }`.",
        tag,
        caller: "optional",
        params: keyParam,
        query: productReadSchema,
        success: { 200: productAnswer },
        errors: ["not_found"],
        etag: "if-match",
      }),
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
      endpoint(deps, {
        id: "changeProduct",
        summary: "Change a part of a product",
        tag,
        permission: "products:write",
        params: keyParam,
        query: leaveStockQuery,
        body: changeProductSchema,
        success: { 200: productAnswer },
        errors: CHANGE,
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const options = {
          manager: managerOf(c),
          expected: c.get("expectedVersions"),
          ...c.req.valid("query"),
        };
        const product = await changeProduct(deps, id, c.req.valid("json"), options);
        return withEtag(c, product);
      },
    )
    .put(
      "/:id",
      endpoint(deps, {
        id: "replaceProduct",
        summary: "Replace a product; If-Match is needed",
        tag,
        permission: "products:write",
        params: keyParam,
        query: leaveStockQuery,
        body: createProductSchema,
        success: { 200: productAnswer },
        errors: [...CHANGE, "precondition_required"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const options = {
          manager: managerOf(c),
          expected: c.get("expectedVersions"),
          ...c.req.valid("query"),
        };
        const product = await changeProduct(deps, id, c.req.valid("json"), options, true);
        return withEtag(c, product);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteProduct",
        summary: "Delete a product; it can be restored",
        tag,
        permission: "products:write",
        params: keyParam,
        success: { 204: null },
        errors: ["not_found"],
        ifMatch: "optional",
      }),
      async (c) => {
        await deleteProduct(deps, managerOf(c), c.req.valid("param").id, c.get("expectedVersions"));
        return c.body(null, 204);
      },
    )
    .post(
      "/:id/restore",
      endpoint(deps, {
        id: "restoreProduct",
        summary: "Bring a deleted product back",
        tag,
        permission: "products:write",
        params: idParam,
        success: { 200: productAnswer },
        errors: ["not_found", "conflict", "already_exists"],
        idempotent: true,
      }),
      (c) => {
        const { id } = c.req.valid("param");
        return idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          restoreProduct(deps, managerOf(c), id, record),
        );
      },
    );

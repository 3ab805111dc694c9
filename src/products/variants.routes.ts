import { managerOf } from "../audit";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { idempotent } from "../http/idempotency";
import { withEtag } from "../http/preconditions";
import { productVariantAnswer } from "./answers";
import type { ProductDeps } from "./deps";
import { changeVariantSchema, createVariantSchema, keyParam, leaveStockQuery, variantParam } from "./schema";
import { addVariant, changeVariant, removeVariant } from "./variants";

const tag = "Products";
const WRITE = { permission: "products:write" } as const;

/** /api/products/:id/variants */
export const variantRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .post(
      "/",
      endpoint(deps, {
        ...WRITE,
        id: "addVariant",
        summary: "Add a variant to a product",
        description: "The version is the product's, as is If-Match.",
        tag,
        params: keyParam,
        body: createVariantSchema,
        success: { 201: productVariantAnswer },
        errors: ["not_found", "version_conflict", "already_exists"],
        ifMatch: "optional",
        idempotent: true,
      }),
      (c) => {
        const { id } = c.req.valid("param");
        const options = { manager: managerOf(c), expected: c.get("expectedVersions") };
        return idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          addVariant(deps, id, c.req.valid("json"), options, record),
        );
      },
    )
    .patch(
      "/:variantId",
      endpoint(deps, {
        ...WRITE,
        id: "changeVariant",
        summary: "Change a part of a variant",
        description: "Another SKU takes its stock, its reservations and their history along.",
        tag,
        params: variantParam,
        body: changeVariantSchema,
        success: { 200: productVariantAnswer },
        errors: ["not_found", "version_conflict", "already_exists", "conflict"],
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const { id, variantId } = c.req.valid("param");
        const options = { manager: managerOf(c), expected: c.get("expectedVersions") };
        return withEtag(c, await changeVariant(deps, id, variantId, c.req.valid("json"), options));
      },
    )
    .delete(
      "/:variantId",
      endpoint(deps, {
        ...WRITE,
        id: "removeVariant",
        summary: "Take a variant away",
        tag,
        params: variantParam,
        query: leaveStockQuery,
        success: { 204: null },
        errors: ["not_found", "version_conflict", "conflict"],
        ifMatch: "optional",
      }),
      async (c) => {
        const { id, variantId } = c.req.valid("param");
        const options = {
          manager: managerOf(c),
          expected: c.get("expectedVersions"),
          ...c.req.valid("query"),
        };
        await removeVariant(deps, id, variantId, options);
        return c.body(null, 204);
      },
    );

import { z } from "zod";
import { managerOf } from "../../audit";
import { shown } from "../../http/cache";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { idempotent } from "../../http/idempotency";
import { withEtag } from "../../http/preconditions";
import type { ProductDeps } from "../deps";
import { CATALOGUE } from "../freshness";
import { keyParam, keySchema } from "../schema";
import { changeCategory } from "./change";
import { createCategory } from "./create";
import { deleteCategory } from "./delete";
import { mergeCategory } from "./merge";
import { moveCategory } from "./move";
import { listCategories, readCategory } from "./reads";
import {
  categoryAnswer,
  categoryListAnswer,
  categoryParam,
  changeCategorySchema,
  createCategorySchema,
  deleteCategoryQuery,
  mergeCategorySchema,
  moveCategorySchema,
} from "./schema";

const tag = "Categories";
/** A path of two parts or more, as it is in the address. */
const pathParam = z.object({ id: keySchema, below: keySchema });

/** /api/products/categories */
export const categoryRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .get(
      "/",
      shown(CATALOGUE),
      endpoint(deps, {
        id: "listCategories",
        summary:
          "List categories, each before what is below it, siblings by position and name, with how many active products each has",
        tag,
        success: { 200: categoryListAnswer },
      }),
      async (c) => c.json({ data: await listCategories(deps) }, 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createCategory",
        summary: "Create a category",
        tag,
        permission: "products:write",
        body: createCategorySchema,
        success: { 201: categoryAnswer },
        errors: ["not_found", "already_exists"],
        idempotent: true,
      }),
      (c) => {
        const category = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          createCategory(deps, managerOf(c), category, record),
        );
      },
    )
    .get(
      "/:id",
      shown(CATALOGUE),
      endpoint(deps, {
        id: "readCategory",
        summary: "Read a category by its id, slug or path",
        description:
          "A path here has %2F for its slashes. It goes before a slug; of several categories with one slug it is the " +
          "one nearest to the root.",
        tag,
        params: keyParam,
        success: { 200: categoryAnswer },
        errors: ["not_found"],
        etag: "if-match",
      }),
      async (c) => {
        const category = await readCategory(deps, c.req.valid("param").id);
        return withEtag(c, category);
      },
    )
    .get(
      "/:id/:below{.+}",
      shown(CATALOGUE),
      endpoint(deps, {
        id: "readCategoryByPath",
        summary: "Read a category by its path",
        tag,
        params: pathParam,
        success: { 200: categoryAnswer },
        errors: ["not_found"],
        etag: "if-match",
      }),
      async (c) => {
        const { id, below } = c.req.valid("param");
        const category = await readCategory(deps, `${id}/${below}`);
        return withEtag(c, category);
      },
    )
    .patch(
      "/:id",
      endpoint(deps, {
        id: "changeCategory",
        summary: "Change a category",
        tag,
        permission: "products:write",
        params: categoryParam,
        body: changeCategorySchema,
        success: { 200: categoryAnswer },
        errors: ["not_found", "already_exists"],
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const category = await changeCategory(
          deps,
          managerOf(c),
          c.req.valid("param").id,
          c.req.valid("json"),
          c.get("expectedVersions"),
        );
        return withEtag(c, category);
      },
    )
    .post(
      "/:id/move",
      endpoint(deps, {
        id: "moveCategory",
        summary: "Move a category with everything below it",
        tag,
        permission: "products:write",
        params: categoryParam,
        body: moveCategorySchema,
        success: { 200: categoryAnswer },
        errors: ["not_found", "conflict", "already_exists"],
        ifMatch: "optional",
        idempotent: true,
      }),
      (c) => {
        const { id } = c.req.valid("param");
        const move = c.req.valid("json");
        const version = c.get("expectedVersions");
        return idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          moveCategory(deps, managerOf(c), id, move, version, record),
        );
      },
    )
    .post(
      "/:id/merge",
      endpoint(deps, {
        id: "mergeCategory",
        summary: "Move products and children into another category and remove this one",
        tag,
        permission: "products:write",
        params: categoryParam,
        body: mergeCategorySchema,
        success: { 200: categoryAnswer },
        errors: ["not_found", "conflict", "already_exists"],
        idempotent: true,
      }),
      (c) => {
        const { id } = c.req.valid("param");
        const { into } = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 200, (record) =>
          mergeCategory(deps, managerOf(c), id, into, record),
        );
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteCategory",
        summary: "Delete a category that is empty, or move what is in it with moveTo",
        tag,
        permission: "products:write",
        params: categoryParam,
        query: deleteCategoryQuery,
        success: { 204: null },
        errors: ["not_found", "conflict"],
      }),
      async (c) => {
        await deleteCategory(deps, managerOf(c), c.req.valid("param").id, c.req.valid("query").moveTo);
        return c.body(null, 204);
      },
    );

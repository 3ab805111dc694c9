import { z } from "zod";
import { requirePermission, requireUser } from "../../auth/guard";
import type { Deps } from "../../deps";
import { shown } from "../../http/cache";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { once } from "../../http/idempotency";
import { input } from "../../http/input";
import { CATALOGUE } from "../freshness";
import { keyParam, keySchema } from "../schema";
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
import { changeCategory, createCategory, deleteCategory, mergeCategory, moveCategory } from "./service";

const tag = "Categories";
/** A path of two parts or more, as it is in the address. */
const pathParam = z.object({ id: keySchema, below: keySchema });

/** /api/products/categories */
export const categoryRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List categories, parents before children, with how many active products each has",
        tag,
        response: categoryListAnswer,
      }),
      shown(CATALOGUE),
      async (c) => c.json({ data: await listCategories(deps) }, 200),
    )
    .post(
      "/",
      describe({
        summary: "Create a category",
        tag,
        response: categoryAnswer,
        status: 201,
        secured: true,
        errors: ["forbidden", "not_found", "already_exists"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("json", createCategorySchema),
      (c) => {
        const category = c.req.valid("json");
        return once(c, deps, deps.idempotency.mongo, 201, (record) => createCategory(deps, category, record));
      },
    )
    .get(
      "/:id",
      describe({
        summary: "Read a category by its id, slug or path",
        description:
          "A path here has %2F for its slashes. It goes before a slug; of several categories with one slug it is the " +
          "one nearest to the root.",
        tag,
        response: categoryAnswer,
        errors: ["not_found"],
      }),
      shown(CATALOGUE),
      input("param", keyParam),
      async (c) => {
        const category = await readCategory(deps, c.req.valid("param").id);
        c.header("ETag", etagOf(category.version));
        return c.json({ data: category }, 200);
      },
    )
    .get(
      "/:id/:below{.+}",
      describe({
        summary: "Read a category by its path",
        tag,
        response: categoryAnswer,
        errors: ["not_found"],
      }),
      shown(CATALOGUE),
      input("param", pathParam),
      async (c) => {
        const { id, below } = c.req.valid("param");
        const category = await readCategory(deps, `${id}/${below}`);
        c.header("ETag", etagOf(category.version));
        return c.json({ data: category }, 200);
      },
    )
    .patch(
      "/:id",
      describe({
        summary: "Change a category",
        tag,
        response: categoryAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "precondition_failed", "already_exists"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", categoryParam),
      input("json", changeCategorySchema),
      async (c) => {
        const category = await changeCategory(deps, c.req.valid("param").id, c.req.valid("json"), ifMatch(c));
        c.header("ETag", etagOf(category.version));
        return c.json({ data: category }, 200);
      },
    )
    .post(
      "/:id/move",
      describe({
        summary: "Move a category with everything below it",
        tag,
        response: categoryAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "already_exists", "precondition_failed"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", categoryParam),
      input("json", moveCategorySchema),
      (c) => {
        const { id } = c.req.valid("param");
        const move = c.req.valid("json");
        const version = ifMatch(c);
        return once(c, deps, deps.idempotency.mongo, 200, (record) =>
          moveCategory(deps, id, move, version, record),
        );
      },
    )
    .post(
      "/:id/merge",
      describe({
        summary: "Move products and children into another category and remove this one",
        tag,
        response: categoryAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "already_exists"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", categoryParam),
      input("json", mergeCategorySchema),
      (c) => {
        const { id } = c.req.valid("param");
        const { into } = c.req.valid("json");
        return once(c, deps, deps.idempotency.mongo, 200, (record) => mergeCategory(deps, id, into, record));
      },
    )
    .delete(
      "/:id",
      describe({
        summary: "Delete a category that is empty, or move what is in it with moveTo",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found", "conflict"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", categoryParam),
      input("query", deleteCategoryQuery),
      async (c) => {
        await deleteCategory(deps, c.req.valid("param").id, c.req.valid("query").moveTo);
        return c.body(null, 204);
      },
    );

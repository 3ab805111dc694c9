import { managerOf } from "../../../audit";
import { endpoint } from "../../../http/endpoint";
import { factory } from "../../../http/factory";
import { idempotent } from "../../../http/idempotency";
import { withEtag } from "../../../http/preconditions";
import type { ProductDeps } from "../../deps";
import { rules, synonyms } from "./manage";
import {
  managedListSchema,
  managedParam,
  ruleAnswer,
  ruleListAnswer,
  ruleSchema,
  synonymAnswer,
  synonymListAnswer,
  synonymSchema,
} from "./schema";

const tag = "Search";
const permission = "products:write";

/** /api/products/search/synonyms */
export const synonymRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listSynonyms",
        summary: "List the shop's own synonyms",
        tag,
        permission,
        query: managedListSchema,
        success: { 200: synonymListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await synonyms.list(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createSynonym",
        summary: "Say which terms mean the same, or what else one term finds",
        description: "Without input each of the terms finds the others. Counts from the next search on.",
        tag,
        permission,
        body: synonymSchema,
        success: { 201: synonymAnswer },
        errors: ["conflict"],
        idempotent: true,
      }),
      (c) => {
        const body = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          synonyms.create(deps, managerOf(c), body, record),
        );
      },
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readSynonym",
        summary: "Read a synonym",
        tag,
        permission,
        params: managedParam,
        success: { 200: synonymAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => withEtag(c, await synonyms.read(deps, c.req.valid("param").id)),
    )
    .put(
      "/:id",
      endpoint(deps, {
        id: "replaceSynonym",
        summary: "Replace a synonym; If-Match is needed",
        tag,
        permission,
        params: managedParam,
        body: synonymSchema,
        success: { 200: synonymAnswer },
        errors: ["not_found", "conflict"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const body = c.req.valid("json");
        return withEtag(c, await synonyms.replace(deps, managerOf(c), id, body, c.get("expectedVersions")));
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteSynonym",
        summary: "Delete a synonym",
        tag,
        permission,
        params: managedParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
        ifMatch: "optional",
      }),
      async (c) => {
        await synonyms.remove(deps, managerOf(c), c.req.valid("param").id, c.get("expectedVersions"));
        return c.body(null, 204);
      },
    );

/** /api/products/search/rules */
export const ruleRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listSearchRules",
        summary: "List what queries show first, hide or lead to",
        tag,
        permission,
        query: managedListSchema,
        success: { 200: ruleListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await rules.list(deps, c.req.valid("query")), 200),
    )
    .post(
      "/",
      endpoint(deps, {
        id: "createSearchRule",
        summary: "Say what a query shows first, hides or leads to",
        description:
          "Of the queries with these words, whatever their case and signs. Counts from the next search on. Pinned products must fit the filters of a search.",
        tag,
        permission,
        body: ruleSchema,
        success: { 201: ruleAnswer },
        errors: ["already_exists", "conflict"],
        idempotent: true,
      }),
      (c) => {
        const body = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 201, (record) =>
          rules.create(deps, managerOf(c), body, record),
        );
      },
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readSearchRule",
        summary: "Read a rule",
        tag,
        permission,
        params: managedParam,
        success: { 200: ruleAnswer },
        errors: ["not_found"],
        etag: true,
      }),
      async (c) => withEtag(c, await rules.read(deps, c.req.valid("param").id)),
    )
    .put(
      "/:id",
      endpoint(deps, {
        id: "replaceSearchRule",
        summary: "Replace a rule; If-Match is needed",
        tag,
        permission,
        params: managedParam,
        body: ruleSchema,
        success: { 200: ruleAnswer },
        errors: ["not_found", "already_exists", "conflict"],
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const body = c.req.valid("json");
        return withEtag(c, await rules.replace(deps, managerOf(c), id, body, c.get("expectedVersions")));
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "deleteSearchRule",
        summary: "Delete a rule",
        tag,
        permission,
        params: managedParam,
        success: { 204: null },
        errors: ["not_found", "conflict"],
        ifMatch: "optional",
      }),
      async (c) => {
        await rules.remove(deps, managerOf(c), c.req.valid("param").id, c.get("expectedVersions"));
        return c.body(null, 204);
      },
    );

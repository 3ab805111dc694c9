import { shown } from "../../http/cache";
import { compressed } from "../../http/compress";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import type { ProductDeps } from "../deps";
import { PRODUCTS } from "../freshness";
import { completeQuery } from "./complete-query";
import { ruleRoutes, synonymRoutes } from "./curation/routes";
import {
  searchAnswer,
  searchSchema,
  suggestAnswer,
  suggestSchema,
  unansweredAnswer,
  unansweredSchema,
} from "./schema";
import { searchProducts } from "./search";
import { listUnanswered } from "./unanswered";

const tag = "Search";

/** /api/products/search */
export const searchRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .route("/synonyms", synonymRoutes(deps))
    .route("/rules", ruleRoutes(deps))
    .get(
      "/",
      // Not kept by anybody: each search has an id of its own.
      compressed(),
      endpoint(deps, {
        id: "searchProducts",
        summary: "Search products",
        description:
          'q is what was typed: "side by side", -without. Filters, sort (default: the best first), include, limit, cursor and count as in the list of products; facets=false leaves the counts out.',
        tag,
        caller: "optional",
        query: searchSchema,
        success: { 200: searchAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await searchProducts(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .get(
      "/suggest",
      shown(PRODUCTS),
      endpoint(deps, {
        id: "suggest",
        summary: "Suggest how to go on from what was typed",
        description: "Each finds something. include as in the list of products.",
        tag,
        caller: "optional",
        query: suggestSchema,
        success: { 200: suggestAnswer },
      }),
      async (c) => c.json({ data: await completeQuery(deps, c.get("actor"), c.req.valid("query")) }, 200),
    )
    .get(
      "/unanswered",
      endpoint(deps, {
        id: "listUnansweredSearches",
        summary: "List what was searched for without result, the most frequent first",
        description: "Searches without filters. A text is forgotten 30 days after it was last searched for.",
        tag,
        permission: ["products:write", "analytics:read"],
        query: unansweredSchema,
        success: { 200: unansweredAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listUnanswered(deps, c.req.valid("query")), 200),
    );

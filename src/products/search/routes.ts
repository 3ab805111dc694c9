import type { Deps } from "../../deps";
import { shown } from "../../http/cache";
import { compressed } from "../../http/compress";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { PRODUCTS } from "../freshness";
import { searchAnswer, searchSchema, suggestAnswer, suggestSchema } from "./schema";
import { searchProducts, suggest } from "./service";

const tag = "Search";

/** /api/products/search */
export const searchRoutes = (deps: Deps) =>
  factory
    .createApp()
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
        tag,
        query: suggestSchema,
        success: { 200: suggestAnswer },
      }),
      async (c) => c.json({ data: await suggest(deps, c.req.valid("query")) }, 200),
    );

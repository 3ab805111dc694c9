import { knowUser } from "../../auth/guard";
import type { Deps } from "../../deps";
import { shown } from "../../http/cache";
import { compressed } from "../../http/compress";
import { describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
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
      describe({
        summary: "Search products",
        description:
          'q is what was typed: "side by side", -without. Filters, sort (default: the best first), include, limit, cursor and count as in the list of products; facets=false leaves the counts out.',
        tag,
        response: searchAnswer,
        errors: ["invalid_cursor", "invalid_input"],
      }),
      // Not kept by anybody: each search has an id of its own.
      compressed(),
      knowUser(deps),
      input("query", searchSchema),
      async (c) => c.json(await searchProducts(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .get(
      "/suggest",
      describe({ summary: "Suggest how to go on from what was typed", tag, response: suggestAnswer }),
      shown(PRODUCTS),
      input("query", suggestSchema),
      async (c) => c.json({ data: await suggest(deps, c.req.valid("query")) }, 200),
    );

import { z } from "zod";
import type { Deps } from "../../deps";
import { dataOf, describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { listCategories } from "./service";

const categoryResponse = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  path: z.string(),
  parentId: z.string().nullable(),
  depth: z.number().int(),
});

/** /api/products/categories */
export const categoryRoutes = (deps: Deps) =>
  factory.createApp().get(
    "/",
    describe({
      summary: "List categories",
      tag: "Categories",
      response: dataOf(z.array(categoryResponse)),
    }),
    async (c) => c.json({ data: await listCategories(deps) }, 200),
  );

import type { Deps } from "../deps";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import {
  categoriesReport,
  funnelReport,
  overviewReport,
  productsReport,
  retentionReport,
  searchesReport,
  searchTrail,
  seriesReport,
  sourcesReport,
} from "./reports";
import {
  categoriesAnswer,
  categoriesQuery,
  funnelAnswer,
  overviewAnswer,
  periodQuery,
  productsAnswer,
  productsQuery,
  retentionAnswer,
  searchesAnswer,
  searchParam,
  searchTrailAnswer,
  seriesAnswer,
  seriesQuery,
  sourcesAnswer,
  topQuery,
} from "./reports.schema";

const report = (
  summary: string,
  response: RouteDescription["response"],
  errors: RouteDescription["errors"] = [],
) => describe({ summary, tag: "Reports", response, secured: true, errors: ["forbidden", ...errors] });

/** /api/analytics/reports: for who may read them, each with a period and a time zone. */
export const reportRoutes = (deps: Deps) =>
  factory
    .createApp()
    .use(requireUser(deps), requirePermission("analytics:read"))
    .get(
      "/overview",
      report("Visitors, sessions, bounces and conversion", overviewAnswer),
      input("query", periodQuery),
      async (c) => c.json({ data: await overviewReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/timeseries",
      report("The same by hour, day, week or month", seriesAnswer),
      input("query", seriesQuery),
      async (c) => c.json({ data: await seriesReport(deps, c.req.valid("query")) }, 200),
    )
    .get("/products", report("Top products", productsAnswer), input("query", productsQuery), async (c) =>
      c.json({ data: await productsReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/categories",
      report("Top categories", categoriesAnswer),
      input("query", categoriesQuery),
      async (c) => c.json({ data: await categoriesReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/funnel",
      report("Sessions that viewed, then added, then ordered", funnelAnswer),
      input("query", periodQuery),
      async (c) => c.json({ data: await funnelReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/searches",
      report("What was searched for, found and clicked", searchesAnswer),
      input("query", topQuery),
      async (c) => c.json({ data: await searchesReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/searches/:searchId",
      report("One search, followed to a click and to an order", searchTrailAnswer, ["not_found"]),
      input("param", searchParam),
      async (c) => c.json({ data: await searchTrail(deps, c.req.valid("param").searchId) }, 200),
    )
    .get(
      "/retention",
      report("Who came again, by week of the first visit", retentionAnswer),
      input("query", periodQuery),
      async (c) => c.json({ data: await retentionReport(deps, c.req.valid("query")) }, 200),
    )
    .get("/sources", report("Where sessions came from", sourcesAnswer), input("query", topQuery), async (c) =>
      c.json({ data: await sourcesReport(deps, c.req.valid("query")) }, 200),
    );

import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import type { AnalyticsDeps } from "../deps";
import { funnelReport } from "./funnel";
import { overviewReport, seriesReport } from "./overview";
import { retentionReport } from "./retention";
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
  sourcesQuery,
  topQuery,
} from "./schema";
import { searchesReport, searchTrail } from "./searches";
import { categoriesReport, productsReport, sourcesReport } from "./tops";

/** What all reports say of themselves. */
const REPORT = { tag: "Reports", permission: "analytics:read" } as const;

/** /api/analytics/reports: for who may read them, each with a period and a time zone. */
export const reportRoutes = (deps: AnalyticsDeps) =>
  factory
    .createApp()
    .get(
      "/overview",
      endpoint(deps, {
        ...REPORT,
        id: "overviewReport",
        summary: "Visitors, sessions, bounces and conversion",
        query: periodQuery,
        success: { 200: overviewAnswer },
      }),
      async (c) => c.json({ data: await overviewReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/timeseries",
      endpoint(deps, {
        ...REPORT,
        id: "seriesReport",
        summary: "The same by hour, day, week or month",
        query: seriesQuery,
        success: { 200: seriesAnswer },
      }),
      async (c) => c.json({ data: await seriesReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/products",
      endpoint(deps, {
        ...REPORT,
        id: "productsReport",
        summary: "Top products",
        query: productsQuery,
        success: { 200: productsAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json({ data: await productsReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/categories",
      endpoint(deps, {
        ...REPORT,
        id: "categoriesReport",
        summary: "Top categories",
        query: categoriesQuery,
        success: { 200: categoriesAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json({ data: await categoriesReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/funnel",
      endpoint(deps, {
        ...REPORT,
        id: "funnelReport",
        summary: "Sessions that viewed, then added, then ordered",
        query: periodQuery,
        success: { 200: funnelAnswer },
      }),
      async (c) => c.json({ data: await funnelReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/searches",
      endpoint(deps, {
        ...REPORT,
        id: "searchesReport",
        summary: "What was searched for, found and clicked",
        query: topQuery,
        success: { 200: searchesAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json({ data: await searchesReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/searches/:searchId",
      endpoint(deps, {
        ...REPORT,
        id: "searchTrail",
        summary: "One search, followed to a click and to an order",
        params: searchParam,
        success: { 200: searchTrailAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await searchTrail(deps, c.req.valid("param").searchId) }, 200),
    )
    .get(
      "/retention",
      endpoint(deps, {
        ...REPORT,
        id: "retentionReport",
        summary: "Who came again, by week of the first visit",
        query: periodQuery,
        success: { 200: retentionAnswer },
      }),
      async (c) => c.json({ data: await retentionReport(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/sources",
      endpoint(deps, {
        ...REPORT,
        id: "sourcesReport",
        summary: "Where sessions came from",
        query: sourcesQuery,
        success: { 200: sourcesAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json({ data: await sourcesReport(deps, c.req.valid("query")) }, 200),
    );

import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { pageQuery } from "../../http/fields";
import { CHANNELS } from "../intake/source";
import { COLUMNS } from "../rollups/buckets";
import { checkPeriod, INTERVALS, periodSchema } from "./period";

export const periodQuery = checkPeriod(periodSchema);
export const seriesQuery = checkPeriod(
  periodSchema.extend({ interval: z.enum(INTERVALS, "must be hour, day, week or month").default("day") }),
);
export const topQuery = checkPeriod(periodSchema.extend(pageQuery));
export const productsQuery = checkPeriod(
  periodSchema.extend({
    ...pageQuery,
    sort: z.enum(COLUMNS.products, "is not a column to sort by").default("views"),
  }),
);
export const categoriesQuery = checkPeriod(
  periodSchema.extend({
    ...pageQuery,
    sort: z.enum(COLUMNS.categories, "is not a column to sort by").default("views"),
  }),
);
export const sourcesQuery = checkPeriod(
  periodSchema.extend({
    ...pageQuery,
    attribution: z
      .enum(["session", "last_non_direct"], "must be session or last_non_direct")
      .default("session")
      .meta({
        description: "Where the session itself came from, or the visitor's last source within 30 days",
      }),
  }),
);
export const searchParam = z.object({ searchId: z.string().min(1).max(200) });

export type PeriodQuery = z.output<typeof periodQuery>;
export interface TopQuery {
  limit: number;
  cursor?: string | undefined;
}

const head = z.object({
  period: z.object({ from: z.string(), to: z.string(), timezone: z.string() }),
  traffic: z.enum(["people", "bots"]),
  complete: z.boolean().meta({ description: "False when events that came in are still being counted" }),
});
const page = z.object({ nextCursor: z.string().nullable(), hasMore: z.boolean() });
const share = z
  .number()
  .nullable()
  .meta({ description: "Between 0 and 1; null when there is nothing to divide by" });
const money = z.array(
  z
    .object({
      currency: z.string(),
      gross: z.int().meta({ description: "What orders came to, with their updates" }),
      refunded: z.int().meta({ description: "What refunds and cancellations of the period took back" }),
      net: z.int().meta({ description: "gross - refunded" }),
      amount: z.int().meta({ description: "The same as net" }),
    })
    .meta({ id: "Revenue" }),
);

const figures = z.object({
  visitors: z.int(),
  newVisitors: z.int(),
  sessions: z.int(),
  bounceRate: share,
  conversions: z.int().meta({ description: "Sessions with an order" }),
  conversionRate: share,
  averageSessionSeconds: z.int().nullable(),
  events: z.int(),
  pageviews: z.int(),
  productViews: z.int(),
  productsAdded: z.int(),
  checkouts: z.int(),
  searches: z.int(),
  orders: z.int().meta({ description: "Each order_id once" }),
  confirmedOrders: z.int().meta({ description: "Those that a server's API key reported" }),
  cancelledOrders: z.int(),
  units: z.int(),
  unitsRefunded: z.int(),
  revenue: money.meta({ description: "Of confirmed orders, in minor units by currency" }),
  unconfirmedRevenue: money.meta({
    description: "Of orders that only browsers reported: anybody can send those",
  }),
});

export const overviewAnswer = dataOf(
  head.extend(figures.shape).extend({
    bots: z.object({ visitors: z.int(), sessions: z.int(), events: z.int() }),
  }),
);
export const seriesAnswer = dataOf(
  head.extend({
    interval: z.enum(INTERVALS),
    points: z.array(figures.extend({ start: z.string(), end: z.string() })),
  }),
);
export const productsAnswer = dataOf(
  head.extend({
    page,
    products: z.array(
      z.object({
        id: z.string(),
        name: z.string().nullable(),
        views: z.int(),
        clicks: z.int(),
        adds: z.int(),
        orders: z.int(),
        quantity: z.int(),
        addRate: share,
        orderRate: share,
      }),
    ),
  }),
);
export const categoriesAnswer = dataOf(
  head.extend({
    page,
    categories: z.array(z.object({ category: z.string(), views: z.int(), adds: z.int(), orders: z.int() })),
  }),
);
export const funnelAnswer = dataOf(
  head.extend({
    sessions: z.int(),
    steps: z.array(
      z.object({
        step: z.enum(["viewed", "added", "ordered"]),
        sessions: z.int(),
        rate: share,
        dropped: z.int(),
      }),
    ),
    conversionRate: share,
  }),
);

const search = z.object({
  query: z.string(),
  searches: z.int(),
  withoutResult: z.int(),
  clicked: z.int().meta({ description: "Searches with at least one click" }),
  clicks: z.int(),
  clickThroughRate: share,
  averageSecondsToClick: z.number().nullable(),
  ordered: z.int().meta({ description: "Searches after which something clicked was ordered within a day" }),
});

export const searchesAnswer = dataOf(
  head.extend({
    page,
    total: search.omit({ query: true }),
    top: z.array(search),
    withoutResult: z.array(search),
  }),
);
export const searchTrailAnswer = dataOf(
  z.object({
    searchId: z.string(),
    query: z.string(),
    at: z.string(),
    results: z.int().nullable(),
    bot: z.boolean(),
    clicks: z.array(
      z.object({
        at: z.string(),
        productId: z.string().nullable(),
        position: z.int().nullable(),
        secondsAfter: z.number(),
      }),
    ),
    ordered: z.boolean(),
  }),
);
export const retentionAnswer = dataOf(
  head.extend({
    cohorts: z.array(
      z.object({
        week: z.string(),
        visitors: z.int(),
        returned: z.array(z.int()).meta({ description: "In the week itself and each week after it" }),
        rates: z.array(share),
      }),
    ),
  }),
);
const visitsFrom = z.object({
  sessions: z.int(),
  newVisitors: z.int(),
  bounceRate: share,
  conversions: z.int(),
  conversionRate: share,
});
export const sourcesAnswer = dataOf(
  head.extend({
    page,
    channels: z.array(visitsFrom.extend({ channel: z.enum(CHANNELS) })),
    sources: z.array(visitsFrom.extend({ source: z.string(), channel: z.enum(CHANNELS) })),
  }),
);

type Data<Schema extends z.ZodType<{ data: unknown }>> = z.output<Schema>["data"];
export type OverviewReport = Data<typeof overviewAnswer>;
export type SeriesReport = Data<typeof seriesAnswer>;
export type ProductsReport = Data<typeof productsAnswer>;
export type CategoriesReport = Data<typeof categoriesAnswer>;
export type FunnelReport = Data<typeof funnelAnswer>;
export type SearchesReport = Data<typeof searchesAnswer>;
export type SearchTrail = Data<typeof searchTrailAnswer>;
export type RetentionReport = Data<typeof retentionAnswer>;
export type SourcesReport = Data<typeof sourcesAnswer>;

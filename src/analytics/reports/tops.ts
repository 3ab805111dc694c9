import type { AnalyticsDeps } from "../deps";
import { CHANNELS, type Channel, channelOf } from "../intake/source";
import { addRow, COLUMNS, type Rows } from "../rollups/buckets";
import { begin, pageOf, rate, sumOf, top } from "./figures";
import type { CategoriesReport, PeriodQuery, ProductsReport, SourcesReport, TopQuery } from "./schema";

/** The products that were viewed, added or ordered most, with their names where the catalogue has them. */
export async function productsReport(
  deps: AnalyticsDeps,
  query: PeriodQuery & TopQuery & { sort: (typeof COLUMNS.products)[number] },
): Promise<ProductsReport> {
  const { range, bot, head } = await begin(deps, query);
  const { rows } = await sumOf(deps, "products", range, bot);
  const { skip, page } = pageOf(deps, "products", query);
  const best = top(rows.products, COLUMNS.products.indexOf(query.sort), query.limit, skip);
  const names = await deps.productPopularity.names(best.map(([id]) => id));
  return {
    ...head,
    page: page(rows.products.size),
    products: best.map(([id, [views = 0, clicks = 0, adds = 0, orders = 0, quantity = 0]]) => ({
      id,
      name: names.get(id) ?? null,
      views,
      clicks,
      adds,
      orders,
      quantity,
      addRate: rate(adds, views),
      orderRate: rate(orders, views),
    })),
  };
}

/** The categories that were viewed, added from or ordered from most. */
export async function categoriesReport(
  deps: AnalyticsDeps,
  query: PeriodQuery & TopQuery & { sort: (typeof COLUMNS.categories)[number] },
): Promise<CategoriesReport> {
  const { range, bot, head } = await begin(deps, query);
  const { rows } = await sumOf(deps, "categories", range, bot);
  const { skip, page } = pageOf(deps, "categories", query);
  const best = top(rows.categories, COLUMNS.categories.indexOf(query.sort), query.limit, skip);
  return {
    ...head,
    page: page(rows.categories.size),
    categories: best.map(([key, [views = 0, adds = 0, orders = 0]]) => ({
      category: key,
      views,
      adds,
      orders,
    })),
  };
}

const conversionsOf = ([sessions = 0, bounces = 0, conversions = 0, newVisitors = 0]: number[]) => ({
  sessions,
  newVisitors,
  bounceRate: rate(bounces, sessions),
  conversions,
  conversionRate: rate(conversions, sessions),
});

/** Where sessions came from. */
export async function sourcesReport(
  deps: AnalyticsDeps,
  query: PeriodQuery & TopQuery & { attribution?: "session" | "last_non_direct" },
): Promise<SourcesReport> {
  const { range, bot, head } = await begin(deps, query);
  const kind = query.attribution === "last_non_direct" ? "attributed" : "sources";
  const rows = (await sumOf(deps, kind, range, bot)).rows[kind];
  const { skip, page } = pageOf(deps, "sources", query);
  const channels: Rows = new Map();
  for (const [source, values] of rows) addRow(channels, channelOf(source), values);
  return {
    ...head,
    page: page(rows.size),
    channels: top(channels, 0, CHANNELS.length).map(([channel, values]) => ({
      channel: channel as Channel,
      ...conversionsOf(values),
    })),
    sources: top(rows, 0, query.limit, skip).map(([source, values]) => ({
      source,
      channel: channelOf(source),
      ...conversionsOf(values),
    })),
  };
}

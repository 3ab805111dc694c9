/** Every operation on products, stock and analytics, driven to a success. */
import { ANY_VERSION, picture, type World } from "./drive";

/** The catalogue, its pictures, search and files. */
export async function catalogue({ staff, anybody, work }: World): Promise<void> {
  const home = await staff("POST /api/products/categories", { json: { name: "Home" } });
  const attributes = [{ key: "color", type: "enum", values: ["red"] }];
  const lamps = await staff("POST /api/products/categories", {
    json: { name: "Lamps", parentId: home.id, attributes },
  });
  const spare = await staff("POST /api/products/categories", { json: { name: "Spare" } });
  await staff("PATCH /api/products/categories/{id}", {
    at: lamps,
    json: { position: 2 },
    headers: ANY_VERSION,
  });
  await staff("POST /api/products/categories/{id}/move", { at: spare, json: { parentId: home.id } });
  await staff("POST /api/products/categories/{id}/merge", { at: spare, json: { into: lamps.id } });
  await anybody("GET /api/products/categories");
  await anybody("GET /api/products/categories/{id}", { at: lamps });
  await anybody("GET /api/products/categories/{id}/{below}", { at: { id: "home", below: "lamps" } });
  const empty = await staff("POST /api/products/categories", { json: { name: "Empty" } });
  await staff("DELETE /api/products/categories/{id}", { at: empty, headers: ANY_VERSION });

  const variant = { sku: "LAMP", price: 4900, currency: "EUR", compareAtPrice: 5900 };
  const product = {
    name: "Lamp",
    brand: "Lux",
    categoryIds: [lamps.id],
    attrs: [{ key: "color", value: "red" }],
    metadata: { any: ["thing", 1, null] },
    variants: [variant],
  };
  const lamp = await staff("POST /api/products", { json: product });
  const at = { id: lamp.id as string };
  const further = await staff("POST /api/products/{id}/variants", {
    at,
    json: { sku: "LAMP-XL", price: 6900, options: [{ name: "Size", value: "XL" }], gtin: null },
  });
  const variantAt = { ...at, variantId: further.id };
  const change = { at: variantAt, json: { weight: 900 }, headers: ANY_VERSION };
  await staff("PATCH /api/products/{id}/variants/{variantId}", change);
  await staff("DELETE /api/products/{id}/variants/{variantId}", { at: variantAt, headers: ANY_VERSION });
  const shown = await staff("POST /api/products/{id}/images", { at, body: await picture() });
  const imageAt = { ...at, imageId: shown.id };
  await staff("PATCH /api/products/{id}/images/{imageId}", { at: imageAt, json: { alt: "A lamp" } });
  await anybody("GET /api/products/{id}/images", { at });
  const file = shown.sources[0].url.split("/").at(-1);
  await anybody("GET /api/products/{id}/images/{imageId}/{file}", { at: { ...imageAt, file } });
  await anybody("GET /api/products/{id}", { at, query: "include=images,breadcrumbs,stock" });
  await staff("PATCH /api/products/{id}", { at, json: { description: "Bright" }, headers: ANY_VERSION });
  await staff("PUT /api/products/{id}", { at, json: product, headers: ANY_VERSION });
  await anybody("GET /api/products", { query: "count=true&limit=1" });
  await anybody("GET /api/products/brands");
  await anybody("GET /api/products/menu");
  await anybody("GET /api/products/search", { query: "q=lamp" });
  await anybody("GET /api/products/search", { query: "q=lammp" });
  await anybody("GET /api/products/search/suggest", { query: "q=la" });
  await staff("GET /api/products/search/unanswered");

  const rule = { query: "lamp", pinned: [lamp.id] };
  for (const [path, json, other] of [
    ["synonyms", { terms: ["lamp", "light"] }, { input: "lamp", terms: ["light"] }],
    ["rules", rule, { ...rule, pinned: [], redirect: lamps.id }],
  ] as const) {
    const made = await staff(`POST /api/products/search/${path}`, { json });
    await staff(`GET /api/products/search/${path}`);
    await staff(`GET /api/products/search/${path}/{id}`, { at: made });
    await staff(`PUT /api/products/search/${path}/{id}`, { at: made, json: other, headers: ANY_VERSION });
    await anybody("GET /api/products/search", { query: "q=lamp" });
    await staff(`DELETE /api/products/search/${path}/{id}`, { at: made, headers: ANY_VERSION });
  }
  await staff("DELETE /api/products/{id}/images/{imageId}", { at: imageAt });
  await staff("DELETE /api/products/{id}", { at, headers: ANY_VERSION });
  await staff("GET /api/products/deleted");
  await staff("POST /api/products/{id}/restore", { at });

  for (const kind of ["import", "export"] as const) {
    const asked =
      kind === "export" ? { json: { format: "csv" } } : { body: "sku,name\nA,\n", type: "text/csv" };
    const job = await staff(`POST /api/products/${kind}`, asked);
    await staff(`GET /api/products/${kind}/{id}`, { at: job });
    await work();
    await staff(`GET /api/products/${kind}/{id}`, { at: job });
    await staff(`GET /api/products/${kind}/{id}/events`, { at: job });
    await staff(`GET /api/products/${kind}/{id}/${kind === "import" ? "faults" : "file"}`, { at: job });
  }
}

/** Stock and reservations. */
export async function stock({ staff, as, t }: World): Promise<void> {
  const at = "/api/products/inventory";
  const product = await staff("POST /api/products", {
    json: { name: "Bulb", variants: [{ sku: "BULB", price: 100 }] },
  });
  const main = await staff(`POST ${at}/locations`, { json: { code: "MAIN", name: "Main" } });
  const second = await staff(`POST ${at}/locations`, { json: { code: "TWO", name: "Two" } });
  const gone = await staff(`POST ${at}/locations`, { json: { code: "GONE", name: "Gone" } });
  await staff(`GET ${at}/locations`);
  await staff(`GET ${at}/locations/{id}`, { at: main });
  await staff(`PATCH ${at}/locations/{id}`, { at: main, json: { priority: 1 }, headers: ANY_VERSION });
  await staff(`DELETE ${at}/locations/{id}`, { at: gone, headers: ANY_VERSION });
  const level = await staff(`POST ${at}/levels`, {
    json: { sku: "BULB", locationId: main.id, safetyThreshold: 50 },
  });
  await staff(`PATCH ${at}/levels/{id}`, { at: level, json: { backorder: "deny" }, headers: ANY_VERSION });
  const where = { sku: "BULB", locationId: main.id, reason: "count" };
  await staff(`POST ${at}/adjust`, { json: { ...where, delta: 10 } });
  await staff(`POST ${at}/set`, { json: { ...where, expected: 10, quantity: 12 } });
  const lines = [{ sku: "BULB", quantity: 2 }];
  await staff(`POST ${at}/transfers`, { json: { fromLocationId: main.id, toLocationId: second.id, lines } });
  for (const [path, json] of [
    ["commit", {}],
    ["release", { lines: [{ sku: "BULB", quantity: 1 }] }],
    ["renew", { ttlSeconds: 60 }],
  ] as const) {
    const held = await staff(`POST ${at}/reservations`, { json: { lines, reference: path } });
    await staff(`POST ${at}/reservations/{id}/${path}`, { at: held, json });
    await staff(`GET ${at}/reservations/{id}`, { at: held });
  }
  const own = as(await t.signIn());
  const held = await own(`POST ${at}/own-reservations`, { json: { lines } });
  await own(`GET ${at}/own-reservations/{id}`, { at: held });
  await own(`POST ${at}/own-reservations/{id}/release`, { at: held });
  for (const [caller, path] of [
    [staff, `${at}/reservations`],
    [own, `${at}/own-reservations`],
    [staff, `${at}/levels`],
    [staff, `${at}/low-stock`],
    [staff, `${at}/movements`],
    [staff, `${at}/verify`],
  ] as const)
    await caller(`GET ${path}`);
  await staff(`GET ${at}/levels/{id}`, { at: level });
  await staff(`POST ${at}/verify/repair`, { json: { sku: "BULB" } });
  await staff("GET /api/products/{id}/inventory", { at: product });
}

/** Analytics, libraries, health. */
export async function reporting({ staff, anybody, work, t }: World): Promise<void> {
  const { key } = await staff("POST /api/analytics/write-keys", { json: { name: "Shop" } });
  await staff("GET /api/analytics/write-keys");
  const timestamp = t.clock.now().toISOString();
  const event = (messageId: string, name: string, properties: object) => ({
    ...{ messageId, type: "track", event: name, anonymousId: "visitor-1", timestamp, properties },
    context: { page: { url: "https://shop.example/?utm_source=news", referrer: "https://www.google.com/" } },
  });
  const product = await staff("POST /api/products", { json: { name: "Sofa", price: 100 } });
  const searchId = t.deps.random.id();
  const viewed = { product_id: product.id, price: 1, search_id: searchId };
  await anybody("POST /api/analytics/events", {
    json: {
      batch: [
        event("1", "Products Searched", { query: "sofa", results: 1, search_id: searchId }),
        event("2", "Product Viewed", viewed),
      ],
    },
  });
  await anybody("POST /v1/{call}", {
    at: { call: "track" },
    json: event("3", "Product Added", viewed),
    headers: { authorization: `Basic ${btoa(`${key}:`)}` },
  });
  await work();
  const reports = "/api/analytics/reports";
  const period = `from=${timestamp.slice(0, 10)}T00:00:00Z&to=${new Date(t.clock.now().getTime() + 1000).toISOString()}`;
  for (const path of ["overview", "timeseries", "products", "categories", "searches", "retention", "sources"])
    await staff(`GET ${reports}/${path}`, { query: path === "retention" ? "" : period });
  await staff(`GET ${reports}/funnel`);
  await staff(`GET ${reports}/searches/{searchId}`, { at: { searchId } });
  const [session] = await staff("GET /api/analytics/sessions");
  await staff("GET /api/analytics/sessions/{id}", { at: session });
  await staff("GET /api/analytics/sessions/{id}/events", { at: session });
  await staff("GET /api/analytics/health");
  await staff("GET /api/analytics/live");
  const at = { visitor: session.visitor };
  await staff("GET /api/analytics/visitors/{visitor}/events", { at });
  await staff("DELETE /api/analytics/visitors/{visitor}", { at });
  await staff("DELETE /api/analytics/write-keys/{key}", { at: { key } });
  for (const path of ["/health/live", "/health/ready", "/metrics"]) await anybody(`GET ${path}`);
}

/** What is asked of every side, and where its answer is compared. */
import { emailOf, PASSWORD, type World } from "./world";

export interface Request {
  method: "GET" | "POST";
  path: string;
  headers?: Record<string, string>;
  body?: string;
  /** The body is in base64, and goes as it is. */
  base64?: true;
  /** `[n]` in path, headers and body becomes a number of each request, `[account]` one of the people who sign in. */
  unique?: true;
  /** Values that requests take in turn: `[product]` in path, headers or body becomes each of `each.product`. */
  each?: Record<string, string[]>;
  /** `[next]` becomes one of `each.next`, of which each goes once: an answer's field of this name takes its place. */
  next?: string;
}

export interface Scenario {
  name: string;
  what: string;
  connections: number;
  /** Only this project has it. */
  own?: true;
  /** Requests a second; absent: as many as are answered. */
  rate?: number;
  /** @param peer whether the token is one that the other sides take */
  request(world: World, peer: boolean): Request;
  /** What of an answer must be the same on all sides. */
  compared(answer: { data: Record<string, unknown> }): unknown;
}

const bearer = (world: World, who: keyof World["people"], peer: boolean) => {
  const { token, peerToken } = world.people[who];
  return { authorization: `Bearer ${peer ? peerToken : token}` };
};

/** The request as one of a crowd of customers makes it, each with a session of their own. */
const byEach = (world: World, peer: boolean, path: string): Request => ({
  method: "GET",
  path,
  headers: { authorization: "Bearer [token]" },
  unique: true,
  each: { token: world.crowd.map(({ token, peerToken }) => (peer ? peerToken : token)) },
});

const whole = ({ data }: { data: unknown }) => data;

const BROWSER =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const LIST = "/api/products?sort=price&limit=20";

const BOUNDARY = "bench-boundary";

/** A form with a picture, as a browser sends it. */
const formOf = (picture: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="photo.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`,
    ),
    picture,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ]);

export const SCENARIOS: Scenario[] = [
  {
    name: "plain",
    what: "plain JSON: GET /health/live",
    connections: 32,
    request: () => ({ method: "GET", path: "/health/live" }),
    compared: whole,
  },
  {
    name: "me-admin",
    what: "guarded read: GET /api/users/me, one administrator",
    connections: 32,
    request: (world, peer) => ({
      method: "GET",
      path: "/api/users/me",
      headers: bearer(world, "admin", peer),
    }),
    compared: whole,
  },
  {
    name: "me-customer",
    what: "guarded read: GET /api/users/me, many customers",
    connections: 32,
    request: (world, peer) => byEach(world, peer, "/api/users/me"),
    compared: whole,
  },
  {
    name: "me-800",
    what: "guarded read at 800 a second, many customers",
    connections: 32,
    rate: 800,
    request: (world, peer) => byEach(world, peer, "/api/users/me"),
    compared: whole,
  },
  {
    name: "product",
    what: "product by id: GET /api/products/:id, each request another of 256",
    connections: 32,
    request: ({ productIds }) => ({
      method: "GET",
      path: "/api/products/[product]",
      unique: true,
      each: { product: productIds },
    }),
    compared: whole,
  },
  {
    name: "list",
    what: "page of 20 by price: GET /api/products?sort=price, the same for all guests",
    connections: 32,
    request: () => ({ method: "GET", path: LIST }),
    compared: whole,
  },
  {
    name: "list-customer",
    what: "the same page for many customers who are signed in, which only this project checks",
    connections: 32,
    request: (world, peer) => byEach(world, peer, LIST),
    compared: whole,
  },
  {
    name: "create",
    what: "create product: POST /api/products",
    connections: 16,
    request: (world, peer) => ({
      method: "POST",
      path: "/api/products",
      headers: {
        ...bearer(world, "admin", peer),
        "content-type": "application/json",
        "idempotency-key": "bench-[n]",
      },
      body: JSON.stringify({
        name: "Bench product [n]",
        description: "A television with a sharp picture.",
        brand: "Insignia",
        variants: [{ sku: "BENCH-[n]", price: 19_900 }],
      }),
      unique: true,
    }),
    compared: ({ data: { name, brand, description, price, status } }) => ({
      name,
      brand,
      description,
      price,
      status,
    }),
  },
  {
    name: "sign-in",
    what: "sign-in: POST /auth/login",
    connections: 8,
    request: () => ({
      method: "POST",
      path: "/auth/login",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: emailOf("[account]"), password: PASSWORD }),
      unique: true,
    }),
    compared: ({ data }) => typeof data.accessToken,
  },
  {
    name: "refresh",
    what: "a session goes on: POST /auth/refresh, each token once",
    own: true,
    connections: 16,
    request: ({ refreshTokens }) => ({
      method: "POST",
      path: "/auth/refresh",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refreshToken: "[next]" }),
      unique: true,
      // Tokens that went are spent: each run takes others.
      each: { next: refreshTokens.splice(0, 16) },
      next: "refreshToken",
    }),
    compared: ({ data }) => typeof data.refreshToken,
  },
  {
    name: "people",
    what: "a page of 20 people by name: GET /api/users?sort=name, an administrator",
    own: true,
    connections: 16,
    request: (world) => ({
      method: "GET",
      path: "/api/users?sort=name&limit=20",
      headers: bearer(world, "admin", false),
    }),
    compared: whole,
  },
  {
    name: "key",
    what: "guarded read by an API key: GET /api/products/deleted",
    own: true,
    connections: 32,
    request: ({ apiKey }) => ({
      method: "GET",
      path: "/api/products/deleted",
      headers: { authorization: `Bearer ${apiKey}` },
    }),
    compared: whole,
  },
  {
    name: "search",
    what: "search with facets: GET /api/products/search, words in turn",
    own: true,
    connections: 4,
    request: () => ({
      method: "GET",
      path: "/api/products/search?q=[q]",
      unique: true,
      each: { q: ["samsung%20television", "32%20inch", "led%20sony", "televison%20lg", "insignia%2040"] },
    }),
    compared: whole,
  },
  {
    name: "events",
    what: "a batch of 20 events: POST /api/analytics/events",
    own: true,
    connections: 8,
    request: () => ({
      method: "POST",
      path: "/api/analytics/events",
      headers: { "content-type": "application/json", "user-agent": BROWSER },
      body: JSON.stringify({
        batch: Array.from({ length: 20 }, (_, at) => ({
          messageId: `[n]-${at}`,
          type: "track",
          event: "Product Viewed",
          anonymousId: `[n]-${at >> 2}`,
          properties: { product_id: `product-${at}`, price: 19.99, currency: "USD" },
          context: { page: { url: "https://shop.example/televisions" } },
        })),
      }),
      unique: true,
    }),
    compared: whole,
  },
  {
    name: "reservation",
    what: "a reservation: POST /api/products/inventory/reservations, one unit each of 256 SKUs in turn",
    own: true,
    connections: 16,
    request: (world) => ({
      method: "POST",
      path: "/api/products/inventory/reservations",
      headers: {
        ...bearer(world, "admin", false),
        "content-type": "application/json",
        "idempotency-key": "bench-reservation-[n]",
      },
      // So long that none ends while something else is measured.
      body: JSON.stringify({ lines: [{ sku: "[sku]", quantity: 1 }], ttlSeconds: 24 * 3600 }),
      unique: true,
      each: { sku: world.stockedSkus },
    }),
    compared: ({ data }) => typeof data.id,
  },
  {
    name: "upload",
    what: "a picture of 1200 by 900 points: POST /api/products/:id/images, 256 products in turn",
    own: true,
    connections: 2,
    request: (world) => ({
      method: "POST",
      path: "/api/products/[product]/images",
      headers: {
        ...bearer(world, "admin", false),
        "content-type": `multipart/form-data; boundary=${BOUNDARY}`,
        "idempotency-key": "bench-upload-[n]",
      },
      body: formOf(world.picture).toString("base64"),
      base64: true,
      unique: true,
      each: { product: world.productIds },
    }),
    compared: ({ data }) => typeof data.id,
  },
];

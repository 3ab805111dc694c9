/** What is asked of every side, and where its answer is compared. */
import { emailOf, PASSWORD, type World } from "./world";

export interface Request {
  method: "GET" | "POST";
  path: string;
  headers?: Record<string, string>;
  body?: string;
  /** `[n]` in path, headers and body becomes a number of each request, `[account]` one of the people who sign in. */
  unique?: true;
}

export interface Scenario {
  name: string;
  what: string;
  connections: number;
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

const whole = ({ data }: { data: unknown }) => data;

export const SCENARIOS: Scenario[] = [
  {
    name: "plain",
    what: "plain JSON: GET /health/live",
    connections: 32,
    request: () => ({ method: "GET", path: "/health/live" }),
    compared: whole,
  },
  ...(["admin", "customer"] as const).map(
    (who): Scenario => ({
      name: `me-${who}`,
      what: `guarded read: GET /api/users/me, ${who}`,
      connections: 32,
      request: (world, peer) => ({
        method: "GET",
        path: "/api/users/me",
        headers: bearer(world, who, peer),
      }),
      compared: whole,
    }),
  ),
  {
    name: "me-800",
    what: "guarded read at 800 a second",
    connections: 32,
    rate: 800,
    request: (world, peer) => ({
      method: "GET",
      path: "/api/users/me",
      headers: bearer(world, "customer", peer),
    }),
    compared: whole,
  },
  {
    name: "product",
    what: "product by id: GET /api/products/:id",
    connections: 32,
    request: ({ productId }) => ({ method: "GET", path: `/api/products/${productId}` }),
    compared: whole,
  },
  {
    name: "list",
    what: "page of 20 by price: GET /api/products?sort=price",
    connections: 32,
    request: () => ({ method: "GET", path: "/api/products?sort=price&limit=20" }),
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
];

/**
 * Serves the built pages, and the one thing that a page may not do by itself: holding stock for a basket, with a key
 * that is on this side only.
 * API_URL=http://localhost:5000 CHECKOUT_KEY=aizy_… PORT=3000 bun server.ts
 */
import { join, normalize } from "node:path";
import { createClient, isApiError } from "aizy-backend/client";

export interface Shop {
  /** Where the API is. */
  api: string;
  /** An API key with `reservations:write` alone; without one nothing can be ordered. */
  key: string | undefined;
  port: number;
}

const PAGES = join(import.meta.dir, "dist");

interface Order {
  order: string;
  lines: { sku: string; quantity: number }[];
}

/** Holds what is in a basket. `order` is made by the page: asked again, it holds the same once. */
async function reserve({ api, key }: Shop, { order, lines }: Order): Promise<Response> {
  if (key === undefined) return Response.json({ problem: "The shop is not open yet." }, { status: 503 });
  const held = await createClient(api, { apiKey: key })
    .api.products.inventory.reservations.$post(
      { json: { lines, reference: order } },
      { idempotencyKey: order },
    )
    .result();
  if (!held.error) return Response.json({ expiresAt: held.data.expiresAt }, { status: 201 });
  const { error } = held;
  if (isApiError(error, "insufficient_stock")) {
    const { sku, available } = error.members;
    return Response.json({ problem: `Only ${available} left of ${sku}.` }, { status: 409 });
  }
  // What a page sent wrong is its own matter; all else is ours, and told to nobody.
  return Response.json(
    { problem: "This could not be ordered." },
    { status: error.is("invalid_input") ? 422 : 502 },
  );
}

/** @returns the server, listening */
export function serveShop(shop: Shop) {
  return Bun.serve({
    port: shop.port,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/checkout") {
        if (request.method !== "POST") return new Response(null, { status: 405, headers: { allow: "POST" } });
        return reserve(shop, (await request.json()) as Order);
      }
      const file = Bun.file(join(PAGES, normalize(`/${decodeURIComponent(pathname)}`)));
      if (pathname !== "/" && (await file.exists())) return new Response(file);
      const page = await Bun.file(join(PAGES, "index.html")).text();
      return new Response(page.replace("http://localhost:5000", shop.api), {
        headers: {
          "content-type": "text/html; charset=utf-8",
          "referrer-policy": "strict-origin-when-cross-origin",
        },
      });
    },
  });
}

if (import.meta.main) {
  const { API_URL = "http://localhost:5000", CHECKOUT_KEY, PORT = "3000" } = process.env;
  const { url } = serveShop({ api: API_URL, key: CHECKOUT_KEY, port: Number(PORT) });
  console.log(`Storefront at ${url}`);
}

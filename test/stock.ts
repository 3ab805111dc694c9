import { verifyAll } from "../src/inventory/verify";
import type { SignedInPerson, TestApp } from "./app";

/** An answer with its body read. */
export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes, refusals too.
  body: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above; what the envelope holds.
  data: any;
}

/** Stock as tests make and ask for it, through the API. */
export interface TestStock {
  /** The location that `sku` puts stock into. */
  locationId: string;
  post(path: string, json?: unknown, headers?: Record<string, string>): Promise<Answer>;
  get(path: string): Promise<Answer>;
  patch(path: string, json: unknown, version: number | string): Promise<Answer>;
  /** A product of one variant with so many on hand (no level when undefined). @returns its SKU */
  sku(onHand?: number, locationId?: string): Promise<string>;
  /** A further location. @returns its id */
  location(priority?: number): Promise<string>;
  reserve(
    lines: { sku: string; quantity: number; locationId?: string }[],
    more?: { ttlSeconds?: number; key?: string },
  ): Promise<Answer>;
  // biome-ignore lint/suspicious/noExplicitAny: a level's answer.
  level(sku: string, locationId?: string): Promise<any>;
  /** What `verify` reports over everything. */
  differences(): Promise<unknown[]>;
}

/** Of four digits, so that codes sort as they were made. */
let count = 1000;

/** Makes a location and gives the calls. */
export async function createStock(t: TestApp, manager: SignedInPerson): Promise<TestStock> {
  const base = "/api/products/inventory";
  const call = async (path: string, init: Parameters<TestApp["request"]>[1]): Promise<Answer> => {
    const response = await t.request(`${base}${path}`, { token: manager.accessToken, ...init });
    const body = await response.json().catch(() => null);
    return { status: response.status, headers: response.headers, body, data: body?.data };
  };
  const stock: TestStock = {
    locationId: "",
    post: (path, json, headers = {}) => call(path, { method: "POST", json: json ?? {}, headers }),
    get: (path) => call(path, {}),
    patch: (path, json, version) =>
      call(path, {
        method: "PATCH",
        json,
        headers:
          version === "" ? {} : { "if-match": typeof version === "number" ? `"v${version}"` : version },
      }),
    async sku(onHand, locationId = stock.locationId) {
      const sku = `Sku-${process.pid}-${++count}`;
      const made = await t.request("/api/products", {
        method: "POST",
        token: manager.accessToken,
        json: { name: `Thing ${sku}`, variants: [{ sku, price: 100 }] },
      });
      if (made.status !== 201) throw new Error(`no product: ${await made.text()}`);
      if (onHand) {
        const given = await stock.post("/adjust", {
          sku,
          locationId,
          delta: onHand,
          kind: "receive",
          reason: "test",
        });
        if (given.status !== 200) throw new Error(`no stock: ${JSON.stringify(given.body)}`);
      }
      return sku;
    },
    async location(priority = 100) {
      const code = `L${++count}`;
      const made = await stock.post("/locations", { code, name: `Location ${code}`, priority });
      if (made.status !== 201) throw new Error(`no location: ${JSON.stringify(made.body)}`);
      return made.data.id;
    },
    reserve: (lines, { key, ...more } = {}) =>
      stock.post("/reservations", { lines, ...more }, key === undefined ? {} : { "idempotency-key": key }),
    async level(sku, locationId = stock.locationId) {
      const { data } = await stock.get(`/levels?sku=${encodeURIComponent(sku)}&locationId=${locationId}`);
      return data?.[0];
    },
    differences: async () => (await verifyAll(t.deps)).differences,
  };
  stock.locationId = await stock.location();
  return stock;
}

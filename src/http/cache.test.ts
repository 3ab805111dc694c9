/** What browsers and CDNs may keep and how answers are compressed, on the catalogue and nowhere else. */
import { beforeAll, describe, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { around } from "../../test/interleave";
import { createStock } from "../../test/stock";
import { preferredEncoding } from "./compress";

const t = useTestApp();
let manager: SignedInPerson;
let id: string;
let sku: string;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  for (let n = 0; n < 24; n++) {
    const answer = await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      json: {
        name: `Cached ${n}`,
        brand: `Brand ${n % 3}`,
        price: 100 + n,
        description: "text ".repeat(200),
      },
    });
    const { data } = (await answer.json()) as { data: { id: string; variants: { sku: string }[] } };
    id = data.id;
    sku = data.variants[0]?.sku ?? "";
  }
});

const PAGES = [
  "/api/products?limit=24&include=images,variants,categories,stock",
  "/api/products/search/suggest?q=cach",
  "/api/products/brands",
  "/api/products/menu",
  "/api/products/categories",
];
const get = (path: string, headers: Record<string, string> = {}) => t.request(path, { headers });
const DECODERS = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };

describe("what a caller takes", () => {
  test.each([
    [undefined, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip, deflate, br", "br"],
    ["GZIP", "gzip"],
    ["gzip;q=1, br;q=0.5", "gzip"],
    ["gzip;q=0.2, br;q=0.5, zstd;q=0", "br"],
    ["br;q=0", undefined],
    ["*", "zstd"],
    ["*;q=0.5, zstd;q=0", "br"],
    ["*;q=0", undefined],
    ["identity", undefined],
    ["identity;q=1, gzip;q=0.5", undefined],
    ["identity;q=0.5, gzip;q=0.5", "gzip"],
    ["deflate, x-gzip", undefined],
    [";;;,,=,q=1", undefined],
    ["gzip;q=abc;q=\u00e9", "gzip"],
  ])("%p is answered with %p", (header, encoding) => {
    expect(preferredEncoding(header)).toBe(encoding as never);
  });
});

describe("a guest", () => {
  test("may keep the catalogue for a while, and is told 304 when nothing has changed", async () => {
    for (const path of [...PAGES, `/api/products/${id}`]) {
      const first = await get(path);
      const etag = first.headers.get("etag") ?? "";
      expect([path, first.status, etag]).toEqual([
        path,
        200,
        expect.stringMatching(/^"(v1-)?[0-9a-f]{32}"$/),
      ]);
      expect(first.headers.get("cache-control")).toMatch(/^public, max-age=\d+, stale-while-revalidate=\d+$/);
      const vary = first.headers.get("vary") ?? "";
      for (const name of ["Authorization", "Accept-Encoding", "Origin"]) expect(vary).toContain(name);
      for (const known of [etag, `W/${etag}`, `"x", ${etag}`, `${etag.slice(0, -1)}-br"`, "*"]) {
        const again = await get(path, { "if-none-match": known, origin: "http://localhost:3000" });
        expect([path, known, again.status, await again.text()]).toEqual([path, known, 304, ""]);
        expect(again.headers.get("content-type")).toBeNull();
        expect(again.headers.get("cache-control")).toBe(first.headers.get("cache-control"));
        expect(again.headers.get("vary")).toContain("Authorization");
        expect(again.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
      }
      for (const other of ['"x"', etag.slice(1, -1), `${etag.slice(0, -1)}-deflate"`, ""]) {
        expect((await get(path, { "if-none-match": other })).status).toBe(200);
      }
    }
  });

  test("is not told 304 when stock has changed, though the product has no new version", async () => {
    const stock = await createStock(t, manager);
    for (const path of [`/api/products/${id}`, `/api/products?filter[id]=${id}`]) {
      const etag = (await get(path)).headers.get("etag") ?? "";
      await stock.post("/adjust", { sku, locationId: stock.locationId, delta: 1, reason: "x" });
      const now = await get(path, { "if-none-match": etag });
      expect([now.status, await now.text()]).toEqual([200, expect.stringContaining('"inStock":true')]);
      await stock.post("/adjust", { sku, locationId: stock.locationId, delta: -1, reason: "x" });
      expect((await get(path, { "if-none-match": etag })).status).toBe(304);
    }
  });

  test("'s tag is good for If-Match, however the answer was compressed", async () => {
    for (const encoding of ["identity", "br", "gzip", "zstd"]) {
      const read = await get(`/api/products/${id}`, { "accept-encoding": encoding });
      const changed = await t.request(`/api/products/${id}`, {
        method: "PATCH",
        token: manager.accessToken,
        headers: { "if-match": read.headers.get("etag") ?? "" },
        json: { name: `Changed ${encoding}` },
      });
      expect([encoding, changed.status]).toEqual([encoding, 200]);
      const stale = await t.request(`/api/products/${id}`, {
        method: "DELETE",
        token: manager.accessToken,
        headers: { "if-match": read.headers.get("etag") ?? "" },
      });
      expect(stale.status).toBe(412);
    }
  });

  test("'s errors are kept by nobody", async () => {
    for (const path of [
      "/api/products/nothing-here",
      "/api/products?limit=0",
      "/api/products/categories/none",
    ]) {
      const answer = await get(path);
      expect([path, answer.status >= 400, answer.headers.get("cache-control")]).toEqual([
        path,
        true,
        "no-store",
      ]);
    }
  });
});

describe("somebody signed in", () => {
  test("is shown what nobody keeps, not compressed, with the version alone as the tag of a product", async () => {
    for (const path of [...PAGES, `/api/products/${id}`]) {
      const answer = await t.request(path, {
        token: manager.accessToken,
        headers: { "accept-encoding": "br", "if-none-match": "*" },
      });
      expect([path, answer.status, answer.headers.get("cache-control")]).toEqual([
        path,
        200,
        "private, no-store",
      ]);
      expect(answer.headers.get("content-encoding")).toBeNull();
      expect(answer.headers.get("vary")).toContain("Authorization");
    }
    const product = await t.request(`/api/products/${id}`, { token: manager.accessToken });
    expect(product.headers.get("etag")).toMatch(/^"v\d+"$/);
  });
});

describe("an answer", () => {
  test.each(["gzip", "br", "zstd"] as const)("is the same in %s, with a tag of its own", async (encoding) => {
    const [path = ""] = PAGES;
    const plain = await get(path);
    const packed = await get(path, { "accept-encoding": encoding });
    expect(packed.headers.get("content-encoding")).toBe(encoding);
    const [bytes, text] = [await packed.bytes(), await plain.text()];
    expect(DECODERS[encoding](bytes).toString()).toBe(text);
    expect(bytes.length).toBeLessThan(text.length / 5);
    expect(packed.headers.get("content-length")).toBe(String(bytes.length));
    const etag = packed.headers.get("etag") ?? "";
    expect(etag).toBe(`${plain.headers.get("etag")?.slice(0, -1)}-${encoding}"`);
    const again = await get(path, { "accept-encoding": encoding, "if-none-match": etag });
    // A cache finds what it has by the tag that it sent.
    expect([again.status, again.headers.get("etag"), again.headers.get("content-encoding")]).toEqual([
      304,
      etag,
      null,
    ]);
  });

  test("of a search is compressed, and kept by nobody", async () => {
    const answer = await get("/api/products/search?q=cached", { "accept-encoding": "br" });
    expect([answer.headers.get("content-encoding"), answer.headers.get("etag")]).toEqual(["br", null]);
    const { data } = JSON.parse(brotliDecompressSync(await answer.bytes()).toString()) as { data: object[] };
    expect(data.length).toBeGreaterThan(10);
  });

  test("that is small stays as it is, and says that it might be otherwise", async () => {
    const answer = await get("/api/products/menu", { "accept-encoding": "br" });
    expect([answer.headers.get("content-encoding"), answer.headers.get("vary")]).toEqual([
      null,
      expect.stringContaining("Accept-Encoding"),
    ]);
  });

  test("is compressed only where everybody is shown the same: never beside a secret", async () => {
    const document = await get("/openapi.json", { "accept-encoding": "br" });
    const paths = Object.keys(
      JSON.parse(brotliDecompressSync(await document.bytes()).toString()).paths as Record<string, unknown>,
    );
    const open = /^\/api\/products(?:\/(?:search.*|brands|menu|categories.*|\{id\}|\{id\}\/images))?$/;
    const packed: string[] = [];
    for (const path of paths) {
      for (const token of [undefined, manager.accessToken]) {
        const answer = await t.request(path.replace(/\{\w+\}/g, id), {
          headers: { "accept-encoding": "gzip, br, zstd" },
          ...(token === undefined ? {} : { token }),
        });
        await answer.body?.cancel();
        if (answer.headers.has("content-encoding"))
          packed.push(`${path} ${token === undefined ? "" : "signed in"}`);
      }
    }
    expect(packed.length).toBeGreaterThan(0);
    expect(packed.filter((path) => !open.test(path.trim()))).toEqual([]);
  });
});

describe("guests who ask for the same at once", () => {
  /** Calls of the store for one product. */
  const counted = async (work: () => Promise<unknown>): Promise<number> => {
    let calls = 0;
    const undo = around(t.deps.products, "find", { before: () => calls++, times: Number.POSITIVE_INFINITY });
    await work().finally(undo);
    return calls;
  };

  test("share one reading; each has it in the form that they take, under an id of their own", async () => {
    const path = `/api/products/${id}`;
    const etag = (await get(path)).headers.get("etag") ?? "";
    const asked: Record<string, string>[] = [
      {},
      {},
      { "accept-encoding": "gzip" },
      { "accept-encoding": "br" },
    ];
    asked.push({ "if-none-match": etag }, { "if-none-match": '"other"' });
    let answers: Response[] = [];
    const calls = await counted(async () => {
      answers = await Promise.all(asked.map((headers) => get(path, headers)));
    });
    expect(calls).toBe(1);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 304, 200]);
    expect(new Set(answers.map(({ headers }) => headers.get("x-request-id"))).size).toBe(asked.length);
    const bodies = await Promise.all(answers.map(async (answer) => Buffer.from(await answer.arrayBuffer())));
    const texts = bodies.map((body, index) => {
      const encoding = answers[index]?.headers.get("content-encoding") as keyof typeof DECODERS | null;
      return (encoding ? DECODERS[encoding](body) : body).toString();
    });
    expect(new Set(texts.filter((_, index) => index !== 4)).size).toBe(1);
    expect(answers[2]?.headers.get("content-encoding")).toBe("gzip");
    expect(texts[4]).toBe("");
  });

  test("nobody who asks behind a change is shown what was before it", async () => {
    const path = `/api/products/${id}`;
    const nameOf = async (answer: Response) =>
      ((await answer.json()) as { data: { name: string } }).data.name;
    for (let round = 0; round < 20; round++) {
      const early = Array.from({ length: 8 }, () => get(path));
      const name = `Cached round ${round}`;
      const change = await t.request(path, {
        method: "PATCH",
        token: manager.accessToken,
        headers: { "if-match": "*" },
        json: { name },
      });
      expect(change.status).toBe(200);
      const late = await Promise.all(Array.from({ length: 8 }, async () => nameOf(await get(path))));
      expect(new Set(late)).toEqual(new Set([name]));
      await Promise.all(early);
    }
  });

  test("what fails for one is asked again for the others, each with a problem of their own", async () => {
    const undo = around(t.deps.products, "find", {
      before: () => {
        throw new Error("lost");
      },
    });
    const answers = await Promise.all(Array.from({ length: 4 }, () => get(`/api/products/${id}`))).finally(
      undo,
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 500]);
    const missing = await Promise.all(Array.from({ length: 3 }, () => get("/api/products/no-such-product")));
    const problems = (await Promise.all(missing.map((answer) => answer.json()))) as { requestId: string }[];
    expect(missing.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(new Set(problems.map(({ requestId }) => requestId)).size).toBe(3);
  });

  test("somebody signed in shares nothing with them", async () => {
    const path = `/api/products/${id}`;
    const own = () => t.request(path, { token: manager.accessToken });
    const answers = await Promise.all([get(path), own(), get(path), own()]);
    expect(answers.map(({ headers }) => headers.get("cache-control")?.split(",")[0])).toEqual([
      "public",
      "private",
      "public",
      "private",
    ]);
  });

  test("different products are read together, and each caller gets the one they asked for", async () => {
    const list = (await (await get("/api/products?limit=20")).json()) as {
      data: { id: string; slug: string }[];
    };
    const keys = [...list.data.flatMap((one) => [one.id, one.slug]), "none", crypto.randomUUID()];
    const found = await Promise.all(
      keys.map(
        async (key) =>
          ((await (await get(`/api/products/${key}`)).json()) as { data?: { id: string } }).data?.id,
      ),
    );
    expect(found).toEqual([...list.data.flatMap((one) => [one.id, one.id]), undefined, undefined]);
  });
});

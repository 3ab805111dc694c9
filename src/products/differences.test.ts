/** Products of different kinds: metadata, currencies, scripts, deleted ones, and what can be ordered. */
import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";
import { completeProducts } from "./complete";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;
let count = 0;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

const unique = (text: string) => `${text}-${++count}`;

async function send(
  method: string,
  path: string,
  json?: unknown,
  token: string | undefined = manager.accessToken,
  headers: Record<string, string> = {},
) {
  const init = { method, json, headers, ...(token ? { token } : {}) };
  const response = await t.request(`/api/products${path}`, init);
  // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, refusals too.
  const body = (await response.json().catch(() => null)) as any;
  return { status: response.status, body, data: body?.data };
}
const made = async (json: object) => {
  const { status, data, body } = await send("POST", "", { name: unique("Thing"), price: 100, ...json });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return data;
};
const idsOf = async (query: string) =>
  (await send("GET", `?${query}`)).data.map((product: { id: string }) => product.id) as string[];

describe("metadata", () => {
  test("is any JSON, and comes back as it was", async () => {
    const metadata = {
      z: 1,
      a: { list: [1, "two", null, { deep: [true] }], empty: {}, none: [] },
      größe: " spaces stay ",
      number: -0.1,
      ключ: "e\u0301",
    };
    const product = await made({ metadata });
    expect(JSON.stringify(product.metadata)).toBe(JSON.stringify(metadata));
    const read = await send("GET", `/${product.id}`);
    expect(JSON.stringify(read.data.metadata)).toBe(JSON.stringify(metadata));
    await send("PATCH", `/${product.id}`, { name: "Other" });
    const changed = { a: { only: {} } };
    expect((await send("PATCH", `/${product.id}`, { metadata: changed })).data.metadata).toEqual(changed);
    expect((await send("GET", `/${product.id}`)).data.metadata).toEqual(changed);
  });

  const nested = (depth: number): object => (depth === 1 ? { end: 1 } : { in: nested(depth - 1) });
  test.each([
    ["six levels", nested(6), "metadata.in.in.in.in.in"],
    ["six lists", { a: [[[[[1]]]]] }, "metadata.a.0.0.0.0"],
    ["an operator", { $where: "1" }, "metadata.$where"],
    ["an operator inside", { a: [{ $gt: 1 }] }, "metadata.a.0.$gt"],
    ["a path", { "a.b": 1 }, "metadata.a.b"],
    ["a prototype inside", JSON.parse('{"a":{"__proto__":{"x":1}}}'), "metadata.a.__proto__"],
    ["a prototype", JSON.parse('{"__proto__":{"x":1}}'), "metadata.__proto__"],
    ["what the driver takes for a value", { a: { _bsontype: "Long" } }, "metadata.a._bsontype"],
    ["a number that was another one", { id: 2 ** 53 }, "metadata.id"],
    ["a constructor", { a: { constructor: 1 } }, "metadata.a.constructor"],
    ["more than 16 kB", { a: "x".repeat(16 * 1024) }, "metadata"],
    ["a list as a whole", [1], "metadata"],
  ])("%s is 422", async (_, metadata, path) => {
    const { status, body } = await send("POST", "", { name: "x", price: 1, metadata });
    expect([status, body.errors[0].path]).toEqual([422, path]);
  });

  test("five levels and 16 kB are taken", async () => {
    await made({ metadata: nested(5) });
    await made({ metadata: { a: "x".repeat(16 * 1024 - 8) } });
  });
});

describe("prices of several currencies", () => {
  test("the price is of the cheapest variant in the product's currency", async () => {
    const variants = [
      { sku: unique("K"), price: 500, currency: "JPY" },
      { sku: unique("K"), price: 2000, currency: "EUR" },
      { sku: unique("K"), price: 1500, currency: "EUR" },
    ];
    const product = await made({ price: undefined, currency: "EUR", variants });
    expect([product.price, product.priceRange.max.amount]).toEqual([{ amount: 1500, currency: "EUR" }, 2000]);
  });

  test("a variant whose currency nobody names keeps it, in PATCH and PUT", async () => {
    const [a, b] = [unique("K"), unique("K")];
    const given = [
      { sku: a, price: 900, currency: "JPY" },
      { sku: b, price: 1500, currency: "EUR" },
    ];
    const { id, variants } = await made({ price: undefined, currency: "JPY", variants: given });
    const again = [
      { sku: a, price: 800 },
      { id: variants[1].id, sku: unique("K"), price: 1400 },
      { sku: unique("K"), price: 700 },
    ];
    for (const [method, json] of [
      ["PATCH", { variants: again }],
      ["PUT", { name: "Thing", variants: again }],
    ] as const) {
      const { data } = await send(method, `/${id}`, json, manager.accessToken, { "if-match": "*" });
      expect(data.variants.map((one: { price: object }) => one.price)).toEqual([
        { amount: 800, currency: "JPY" },
        { amount: 1400, currency: "EUR" },
        { amount: 700, currency: "JPY" },
      ]);
    }
    const put = { name: "Thing", price: 5 };
    const { data } = await send("PUT", `/${id}`, put, manager.accessToken, { "if-match": "*" });
    expect(data.price).toEqual({ amount: 5, currency: "JPY" });
  });

  test("are not compared: a price filter or sort names a currency once there are several", async () => {
    const brand = unique("Brand");
    const yen = await made({ brand, currency: "JPY", price: 900 });
    const euro = await made({ brand, currency: "EUR", price: 1000 });
    const dear = await made({ brand, currency: "EUR", price: 2000 });
    const own = `filter[brand]=${brand}`;
    // A search compares as a list does.
    const searched = async (query: string) =>
      (await send("GET", `/search?q=thing&${own}&${query}`)) as {
        status: number;
        body: { data: { id: string }[]; facets: { price: { currency: string; count: number }[] } };
      };
    const idsFound = async (query: string) => (await searched(query)).body.data.map(({ id }) => id);
    for (const query of ["sort=price", "sort=-price", "filter[price][gte]=1", "filter[price][lte]=1"]) {
      for (const list of ["?", "/search?q=thing&"]) {
        const { status, body } = await send("GET", `${list}${own}&${query}`);
        expect([status, body.errors?.[0]]).toEqual([
          422,
          { path: "filter[currency]", code: "required", message: expect.stringContaining("EUR") },
        ]);
      }
    }
    for (const list of [(query: string) => idsOf(`${own}&${query}`), idsFound]) {
      expect(await list("sort=price&filter[currency]=EUR")).toEqual([euro.id, dear.id]);
      expect(await list("sort=-price&filter[currency]=EUR")).toEqual([dear.id, euro.id]);
      expect(await list("filter[price][lte]=950&filter[currency]=JPY")).toEqual([yen.id]);
      expect(await list("filter[price][lte]=950&filter[currency]=EUR")).toEqual([]);
      expect(await list("filter[currency]=USD")).toEqual([]);
      expect((await list("limit=9")).length).toBe(3);
    }
    // Ranges are of one currency each.
    const { price } = (await searched("limit=9")).body.facets;
    const counts = ["EUR", "JPY"].map((currency) =>
      price.filter((range) => range.currency === currency).reduce((sum, { count }) => sum + count, 0),
    );
    expect(counts).toEqual([2, 1]);
    const narrowed = (await searched("filter[currency]=JPY")).body.facets.price;
    expect(narrowed).toMatchObject([{ currency: "JPY", count: 1 }]);
    expect((await searched("filter[currency]=EURO")).status).toBe(422);
    expect((await send("GET", `?${own}&filter[currency]=EURO`)).status).toBe(422);
  });
});

describe("attributes", () => {
  test("with commas and backslashes are found by an escape; numbers are numbers; keys are of any script", async () => {
    const brand = unique("Brand");
    const attr = (key: string, value: unknown) => ({ brand, attrs: [{ key, value }] });
    const comma = await made(attr("size", "10, 5"));
    const slash = await made(attr("size", "a\\b"));
    const plain = await made(attr("size", "10"));
    const hindi = await made(attr("रंग", "नीला"));
    const weight = await made(attr("weight", 1.5));
    const found = (key: string, value: string) =>
      idsOf(
        `filter[brand]=${brand}&${encodeURIComponent(`filter[attr.${key}]`)}=${encodeURIComponent(value)}`,
      );
    expect(await found("size", "10\\, 5")).toEqual([comma.id]);
    expect(await found("size", "a\\\\b")).toEqual([slash.id]);
    expect(await found("SIZE", "10")).toEqual([plain.id]);
    expect((await found("size", "10\\, 5,10")).sort()).toEqual([comma.id, plain.id].sort());
    expect(await found("रंग", "नीला")).toEqual([hindi.id]);
    for (const text of ["1.5", "1.50", "+1.5", "15e-1"])
      expect(await found("weight", text)).toEqual([weight.id]);
    expect(await found("weight", "1.51")).toEqual([]);
    // A Persian word has a joiner of width zero, and is the same key without it.
    const persian = await made(attr("می\u200cشود", "x"));
    for (const key of ["می\u200cشود", "میشود"]) expect(await found(key, "x")).toEqual([persian.id]);
  });
});

describe("lists read as people read", () => {
  test("names sort without regard to accents and case, also those that were written before", async () => {
    const brand = unique("Brand");
    for (const name of ["Zebra", "Äpfel", "apfelsine", "Öl", "Nuss"]) await made({ name, brand });
    await t.deps.mongo.connection
      .collection("products")
      .updateMany({ brandKey: brand.toLowerCase(), name: "Äpfel" }, { $set: { nameKey: "äpfel" } });
    await completeProducts(t.deps.mongo);
    const { data } = await send("GET", `?filter[brand]=${brand}&sort=name`);
    expect(data.map(({ name }: { name: string }) => name)).toEqual([
      "Äpfel",
      "apfelsine",
      "Nuss",
      "Öl",
      "Zebra",
    ]);
  });

  test("an id in capitals is the same id", async () => {
    const product = await made({});
    const [id, variant] = [product.id.toUpperCase(), product.variants[0].id.toUpperCase()];
    expect((await send("GET", `/${id}`)).data.id).toBe(product.id);
    expect((await send("GET", `/${id}/inventory`)).data.productId).toBe(product.id);
    expect((await send("PATCH", `/${id}/variants/${variant}`, { price: 5 })).status).toBe(200);
    expect((await send("GET", `/inventory/locations/${stock.locationId.toUpperCase()}`)).status).toBe(200);
    expect(await idsOf(`filter[id]=${id}`)).toEqual([product.id]);
    const [kept] = product.variants;
    const variants = [{ id: variant, sku: kept.sku, price: 6 }];
    expect((await send("PATCH", `/${id}`, { variants })).data.variants[0]).toMatchObject({ id: kept.id });
  });

  test("categories come by their position, then by name, each before what is below it; ids in capitals are theirs", async () => {
    const category = async (json: object) => (await send("POST", "/categories", json)).data;
    const top = await category({ name: unique("Top"), position: 5 });
    const parentId = top.id.toUpperCase();
    for (const [name, position] of [
      ["Zebra", 1],
      ["Öl", 2],
      ["Äpfel", 2],
      ["Last", 9],
    ]) {
      await category({ name, position, parentId });
    }
    const first = await category({ name: unique("First"), position: 0 });
    const below = await category({ name: "Below", parentId: first.id });
    const names = async () => {
      const listed = (await send("GET", "/categories")).data as {
        id: string;
        name: string;
        ancestors: string[];
      }[];
      const own = [top.id, first.id, below.id];
      return listed
        .filter(({ id, ancestors }) => own.includes(id) || ancestors.includes(top.id))
        .map(({ name }) => name);
    };
    expect(await names()).toEqual([first.name, "Below", top.name, "Zebra", "Äpfel", "Öl", "Last"]);
    const target = first.id.toUpperCase();
    const path = `/categories/${below.id.toUpperCase()}`;
    expect((await send("POST", `${path}/move`, { parentId, position: 0 })).data.parentId).toBe(top.id);
    expect((await send("POST", `${path}/merge`, { into: target })).data.id).toBe(first.id);
    const empty = await category({ name: unique("Empty") });
    const product = await made({ categoryIds: [empty.id.toUpperCase()] });
    expect((await send("DELETE", `/categories/${empty.id.toUpperCase()}?moveTo=${target}`)).status).toBe(204);
    expect(await idsOf(`filter[category]=${target}`)).toEqual([product.id]);
    const rule = { query: unique("text"), pinned: [product.id.toUpperCase()], redirect: target };
    const { status, data, body } = await send("POST", "/search/rules", rule);
    expect([status, data?.pinned ?? body, data?.redirect]).toEqual([201, [product.id], first.id]);
  });
});

describe("deleted products", () => {
  test("are listed with who and when, the last first, in pages, until they are restored", async () => {
    const skus = [unique("D"), unique("D"), unique("D")];
    const gone: string[] = [];
    for (const sku of skus) {
      const product = await made({ price: undefined, variants: [{ sku, price: 1 }] });
      t.clock.advance(1000);
      await send("DELETE", `/${product.id}`);
      gone.unshift(product.id);
    }
    const listed: { id: string; skus: string[]; deletedBy: string; deletedAt: string }[] = [];
    for (let cursor = ""; ; ) {
      const { data, body } = await send("GET", `/deleted?limit=1${cursor}`);
      listed.push(...data);
      if (!body.page.hasMore) break;
      cursor = `&cursor=${body.page.nextCursor}`;
    }
    const own = listed.filter(({ id }) => gone.includes(id));
    expect(own.map(({ id }) => id)).toEqual(gone);
    expect(own[0]).toMatchObject({
      skus: [skus[2] ?? ""],
      deletedBy: `user:${manager.id}`,
      deletedAt: t.clock.now().toISOString(),
    });
    expect((await send("POST", `/${gone[0]}/restore`, {})).status).toBe(200);
    const left = (await send("GET", "/deleted")).data.map(({ id }: { id: string }) => id);
    expect([left.includes(gone[0] ?? ""), left.includes(gone[1] ?? "")]).toEqual([false, true]);
    const restored = await t.deps.products.findById(gone[0] ?? "");
    expect(restored).not.toHaveProperty("deletedBy");
    expect((await t.request("/api/products/deleted")).status).toBe(401);
  });
});

describe("what can be ordered", () => {
  test("knows backorders and their limit, for guests too", async () => {
    const sku = await stock.sku(1);
    const { _id: id } = (await t.deps.products.findBySku(sku.toLowerCase())) ?? { _id: "" };
    const level = await stock.level(sku);
    const told = async () => {
      const response = await t.request(`/api/products/${id}?include=stock`);
      const { data } = (await response.json()) as { data: { stock: unknown[] } };
      return data.stock[0];
    };
    expect(await told()).toEqual({ sku, inStock: true, orderable: true });
    await stock.reserve([{ sku, quantity: 1 }]);
    expect(await told()).toEqual({ sku, inStock: false, orderable: false });
    await stock.patch(`/levels/${level.id}`, { backorder: "allow", backorderLimit: 1 }, 1);
    expect(await told()).toEqual({ sku, inStock: false, orderable: true });
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(201);
    expect(await told()).toEqual({ sku, inStock: false, orderable: false });
  });
});

import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { insist, type SignedInPerson, useTestApp } from "../../test/app";
import { around } from "../../test/interleave";
import { createStock } from "../../test/stock";
import { buildIndexes } from "../db/indexes";
import { settleSignals } from "../inventory/in-stock";
import { altSchema } from "../media/alt";
import type { ItemResponse, ProductResponse } from "./answers";
import { buildProduct } from "./build";
import { categoryModel } from "./categories/model";
import { ensureCategoryPath } from "./categories/paths";
import { createCategorySchema } from "./categories/schema";
import type { ProductFilter } from "./filters";
import { pictureModel } from "./images/model";
import type { ListPosition } from "./lists.store";
import { productModel } from "./model";
import { createProductSchema } from "./schema";
import { createProductStore } from "./store";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

interface Plan {
  executionStats: { nReturned: number; totalDocsExamined: number; totalKeysExamined: number };
}

const send = (method: string, path: string, json?: object, headers: Record<string, string> = {}) =>
  t.request(path, { method, token: manager.accessToken, headers, ...(json === undefined ? {} : { json }) });
const create = (json: object) => send("POST", "/api/products", json);
async function made(json: object): Promise<ProductResponse> {
  const answer = await create(json);
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { data: ProductResponse }).data;
}
const dataOf = async (answer: Response) => ((await answer.json()) as { data: ProductResponse }).data;
const codeOf = async (answer: Response) => ((await answer.json()) as { code: string }).code;
interface Page {
  data: ItemResponse[];
  page: { nextCursor: string | null; hasMore: boolean; total?: { value: number; relation: string } };
}
const list = async (query: string): Promise<Page> => {
  const answer = await t.request(`/api/products?${query}`);
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Page;
};
let serial = 0;
const unique = (name: string) => `${name} ${++serial} ${Bun.randomUUIDv7().slice(-6)}`;

describe("creating", () => {
  test("a name, a description and a price make a product with one default variant", async () => {
    const product = await made({
      name: "  Cafe\u0301  ",
      description: "<img src=x onerror=alert(1)>",
      price: 4900,
    });
    expect(product).toMatchObject({
      name: "Caf\u00e9",
      description: "<img src=x onerror=alert(1)>",
      price: { amount: 4900, currency: "USD" },
      status: "active",
    });
    expect(product.variants).toHaveLength(1);
    expect(product.variants[0]?.sku).toMatch(/^P-[0-9A-F]{12}$/);
  });

  test("everything that can be said is kept", async () => {
    const sku = unique("FULL");
    const input = {
      name: unique("Full"),
      brand: "Fjell",
      attrs: [
        { key: "colour", value: "Röd" },
        { key: "weight", value: 1.25, unit: "kg" },
        { key: "washable", value: true },
      ],
      metadata: { season: "winter", rank: 3, shown: false },
      variants: [
        {
          sku,
          price: 100,
          currency: "JPY",
          gtin: "4006381333931",
          weight: 250,
          compareAtPrice: 120,
          options: [{ name: "Size", value: "M" }],
        },
      ],
    };
    const product = await made(input);
    const read = await dataOf(await t.request(`/api/products/${product.id}`));
    expect(read).toEqual(product);
    expect(read.attrs).toEqual([
      { key: "colour", value: "Röd", unit: null },
      { key: "weight", value: 1.25, unit: "kg" },
      { key: "washable", value: true, unit: null },
    ]);
    expect(read.metadata).toEqual(input.metadata);
    expect(read.variants[0]).toMatchObject({
      gtin: "4006381333931",
      weight: 250,
      price: { amount: 100, currency: "JPY" },
    });
  });

  const variant = (over: object = {}) => ({ sku: unique("S"), price: 1, ...over });
  test.each([
    ["no price", { name: "x" }],
    ["a price that is not whole", { name: "x", price: 0.1 + 0.2 }],
    ["a price beyond what a number holds", { name: "x", price: 2 ** 53 }],
    ["a negative price", { name: "x", price: -1 }],
    ["a price in text", { name: "x", price: "100" }],
    ["an object for a name", { name: { $ne: null }, price: 1 }],
    ["control characters", { name: "a\u0007b", price: 1 }],
    ["a blank name", { name: " \u00a0 ", price: 1 }],
    ["an unknown key", { name: "x", price: 1, isAdmin: true }],
    ["no such currency", { name: "x", price: 1, currency: "XQQ" }],
    ["a wrong check digit", { name: "x", variants: [variant({ gtin: "4006381333932" })] }],
    ["a GTIN of nine digits", { name: "x", variants: [variant({ gtin: "123456789" })] }],
    ["no variants", { name: "x", variants: [] }],
    [
      "251 variants",
      { name: "x", variants: Array.from({ length: 251 }, (_, n) => ({ sku: `V-${n}`, price: 1 })) },
    ],
    [
      "one SKU twice, in another case and form",
      {
        name: "x",
        variants: [
          { sku: "Caf\u00e9", price: 1 },
          { sku: "CAFE\u0301", price: 1 },
        ],
      },
    ],
    [
      "a key twice",
      {
        name: "x",
        price: 1,
        attrs: [
          { key: "a", value: 1 },
          { key: "A", value: 2 },
        ],
      },
    ],
    ["an object as an attribute", { name: "x", price: 1, attrs: [{ key: "a", value: { $gt: 1 } }] }],
    ["a list as metadata", { name: "x", price: 1, metadata: [1] }],
    ["operators in metadata", { name: "x", price: 1, metadata: { $where: "1" } }],
    ["dots in metadata", { name: "x", price: 1, metadata: { "a.b": "1" } }],
    ["a constructor in metadata", { name: "x", price: 1, metadata: { constructor: "1" } }],
    ["an unknown category", { name: "x", price: 1, categoryIds: ["01900000-0000-7000-8000-000000000000"] }],
  ])("%s is 422", async (_, json) => {
    const before = await t.deps.products.count();
    expect((await create(json)).status).toBe(422);
    expect(await t.deps.products.count()).toBe(before);
  });

  test("what zod would let through, Mongoose refuses", async () => {
    const product = await t.deps.products.findById((await made({ name: unique("Whole"), price: 1 })).id);
    if (!product) throw new Error("the product is not there");
    const [variant] = product.variants;
    const like = (change: object) => ({
      ...product,
      _id: t.deps.random.id(),
      slugKey: unique("slug"),
      skuKeys: [unique("sku")],
      ...change,
    });
    for (const change of [
      { metadata: { a: { $b: 1 } } },
      { metadata: [1] },
      { attrs: [{ key: "a", value: { $gt: 1 }, unit: null }] },
      { variants: [{ ...variant, price: 1.5 }] },
      { variants: [{ ...variant, currency: "usd" }] },
      { variants: [{ ...variant, more: 1 }] },
      { status: "gone" },
      { more: 1 },
    ]) {
      const bad = like(change) as never;
      await expect(t.deps.products.create([bad])).rejects.toThrow();
      await expect(
        t.deps.mongo.transaction((tx) => t.deps.products.replaceMany([bad], tx)),
      ).rejects.toThrow();
      const changed = { ...product, ...change } as never;
      await expect(t.deps.products.replace(changed, product.version)).rejects.toThrow();
      expect(await t.deps.products.findById(product._id)).toEqual(product);
    }
    await t.deps.products.create([like({})]);
    expect(await t.deps.products.replace(product, product.version)).toBe(true);
  });

  test.each([
    ["a name whose key is longer", { name: "\u00df".repeat(500), brand: "\ufb03".repeat(200) }, 201],
    ["a description that is longer in NFC", { name: "x", description: "\u0958".repeat(25_000) }, 201],
    ["one that is too long in NFC", { name: "x", description: "\u0958".repeat(25_001) }, 422],
    ["a name of 500 letters of two units", { name: "\u{20000}".repeat(500) }, 201],
    ["a key of 50", { name: "x", attrs: [{ key: "\u{20000}".repeat(50), value: 1 }] }, 201],
    ["one of 51", { name: "x", attrs: [{ key: "\u{20000}".repeat(51), value: 1 }] }, 422],
    ["a key that is no key in NFC", { name: "x", attrs: [{ key: "\u0958".repeat(50), value: 1 }] }, 422],
  ])("%s: its length is that of its normal form", async (_, json, status) => {
    const answer = await create({ ...json, price: 1 });
    expect([status, answer.status === 201 ? "" : await codeOf(answer)]).toEqual([
      answer.status,
      status === 201 ? "" : "invalid_input",
    ]);
  });

  test("no text that zod lets through is refused by the model", async () => {
    const Product = productModel(t.deps.mongo.connection);
    // Letters that grow in canonical form, of two units, and of two halves.
    const text = (most: number) =>
      fc
        .tuple(
          fc.string({
            unit: fc.constantFrom(..."a\u00df\ufb03\u0958\u{20000}\u0130\u1f82\u0301 \ud800"),
            minLength: 1,
            maxLength: 12,
          }),
          fc.constantFrom(1, most - 1, most, most + 1, 2 * most, 2 * most + 1),
        )
        .map(([unit, length]) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length));
    const category = { ...(await ensureCategoryPath(t.deps, [unique("Any")])), attributes: [] };
    const [Category, Picture] = [
      categoryModel(t.deps.mongo.connection),
      pictureModel(t.deps.mongo.connection),
    ];
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        text(500),
        text(50_000),
        text(200),
        text(50),
        text(20),
        async (name, description, brand, key, unit) => {
          for (const json of [
            { name, price: 1 },
            { name: "x", price: 1, description },
            { name: "x", price: 1, brand },
            { name: "x", price: 1, attrs: [{ key, value: name, unit }] },
            { name: "x", price: 1, metadata: { [key]: name } },
            {
              name: "x",
              variants: [{ sku: brand, price: 1, name: brand, options: [{ name: key, value: key }] }],
            },
          ]) {
            const parsed = createProductSchema.safeParse(json);
            if (!parsed.success) continue;
            taken++;
            const product = buildProduct(t.deps, t.deps.random.id(), parsed.data, []);
            expect([json, await new Product(product).validate().catch(String)]).toEqual([json, undefined]);
          }
          const node = createCategorySchema.safeParse({
            name: brand,
            attributes: [{ key, type: "number", unit }],
          });
          if (node.success) {
            const { name: called, attributes } = node.data;
            await new Category({ ...category, name: called, attributes }).validate();
          }
          const alt = altSchema.safeParse(name);
          if (alt.success) {
            const picture = { _id: "x", productId: "x", alt: alt.data, position: 0, width: 1, height: 1 };
            await new Picture({ ...picture, widths: [1], createdAt: category.createdAt }).validate();
          }
        },
      ),
      { numRuns: 60 },
    );
    expect(taken).toBeGreaterThan(20);
  }, 60_000);

  test("what only the model refuses is 422 with its path, without the value", async () => {
    const product = await t.deps.products.findById((await made({ name: unique("Model"), price: 1 })).id);
    if (!product) throw new Error("the product is not there");
    const undo = around(t.deps.products, "create", {
      before: () => t.deps.products.replace({ ...product, brand: "secret".repeat(50) }, product.version),
    });
    const answer = await create({ name: "x", price: 1 }).finally(undo);
    const body = (await answer.json()) as object;
    expect([answer.status, body]).toMatchObject([
      422,
      { code: "invalid_input", errors: [{ path: "brand", code: "too_long", message: "is not accepted" }] },
    ]);
    expect(JSON.stringify(body)).not.toContain("secret");
  });

  test("the longest keys of letters that grow most have room in the indexes", async () => {
    const grown = Array.from({ length: 500 }, (_, n) =>
      String.fromCodePoint(0x1f80 + Number(Bun.hash(`${n}`) % 48n)),
    );
    const [name, brand] = [grown.join(""), grown.slice(0, 200).join("")];
    const sku = `${Bun.randomUUIDv7().slice(-6)}${grown.slice(0, 94).join("")}`;
    const attrs = [{ key: "a", value: name }];
    const product = await made({ name, brand, attrs, variants: [{ sku, price: 1 }] });
    expect((await list(`filter[brand]=${encodeURIComponent(brand)}`)).data.map(({ id }) => id)).toEqual([
      product.id,
    ]);
  });

  test("__proto__ in metadata is 422 or dropped, and reaches no prototype", async () => {
    const answer = await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      headers: { "content-type": "application/json" },
      body: '{"name":"x","price":1,"metadata":{"__proto__":{"polluted":true}}}',
    });
    expect([201, 422]).toContain(answer.status);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("250 variants are kept", async () => {
    const base = unique("MANY");
    const product = await made({
      name: base,
      variants: Array.from({ length: 250 }, (_, n) => ({ sku: `${base}-${n}`, price: 1000 - n })),
    });
    expect(product.variants).toHaveLength(250);
    expect(product.price.amount).toBe(751);
  });

  test("50 at once with one SKU in different spellings: one 201, 49 × 409", async () => {
    const spellings = ["Caf\u00e9-RACE", "CAFE\u0301-race", "caf\u00e9-Race"];
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        insist(() => create({ name: `Racer ${n}`, variants: [{ sku: spellings[n % 3], price: 1 }] })),
      ),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 409)).toHaveLength(49);
  }, 60_000);

  test("two of one name have different slugs; a given slug that is taken is 409", async () => {
    const name = unique("Same name");
    const [one, two] = [await made({ name, price: 1 }), await made({ name, price: 1 })];
    expect(two.slug).not.toBe(one.slug);
    expect(two.slug).toStartWith(one.slug);
    const answer = await create({ name: "Other", price: 1, slug: one.slug });
    expect([answer.status, await codeOf(answer)]).toEqual([409, "already_exists"]);
  });
});

describe("changing", () => {
  test.each([120, 117, 114])("the suffixed slug of a name of %i characters stays", async (length) => {
    const mark = Bun.randomUUIDv7().slice(-12);
    const name = `${mark}${"x".repeat(length - mark.length)}`;
    const [one, two] = [await made({ name, price: 1 }), await made({ name, price: 1 })];
    expect(one.slug).toHaveLength(length);
    expect(two.slug).toHaveLength(120);
    const path = `/api/products/${two.id}`;
    expect((await dataOf(await send("PATCH", path, { price: 2, name: "Other" }))).slug).toBe(two.slug);
    const put = await send("PUT", path, { name: "New", price: 3 }, { "if-match": '"v2"' });
    expect((await dataOf(put)).slug).toBe(two.slug);
    // One that is longer than a slug may be now.
    const slug = `${one.slug}-0123456789`;
    await t.deps.mongo.connection
      .collection<{ _id: string }>("products")
      .updateOne({ _id: two.id }, { $set: { slug, slugKey: slug } });
    expect((await dataOf(await send("PATCH", path, { price: 4 }))).slug).toBe(slug);
  });

  test("a suffix halves no surrogate pair", async () => {
    const name = `${Bun.randomUUIDv7().slice(-6)}${"\u{20000}".repeat(57)}`;
    const [, two] = [await made({ name, price: 1 }), await made({ name, price: 1 })];
    expect(two.slug).toHaveLength(119);
    expect(two.slug.isWellFormed()).toBe(true);
  });

  test("a part: the slug stays when the name changes, a variant keeps its id with its SKU", async () => {
    const product = await made({ name: unique("Before"), price: 500, brand: "A" });
    const answer = await send(
      "PATCH",
      `/api/products/${product.id}`,
      { name: "After", price: 700 },
      { "if-match": '"v1"' },
    );
    expect(answer.status).toBe(200);
    expect(answer.headers.get("etag")).toBe('"v2"');
    const changed = await dataOf(answer);
    expect(changed).toMatchObject({
      name: "After",
      slug: product.slug,
      brand: "A",
      version: 2,
      price: { amount: 700 },
    });
    expect(changed.variants[0]?.id).toBe(product.variants[0]?.id ?? "");
    expect(await dataOf(await t.request(`/api/products/${product.id}`))).toEqual(changed);
    const bare = await dataOf(await send("PATCH", `/api/products/${product.id}`, { brand: null }));
    expect(bare.brand).toBeNull();
    expect((await list("filter[brand]=A")).data.map(({ id }) => id)).not.toContain(product.id);
  });

  test("two PATCHes with one ETag: one 200, one 412 with the current version", async () => {
    const product = await made({ name: unique("Twice"), price: 1 });
    const answers = await Promise.all(
      ["one", "two"].map((brand) =>
        send("PATCH", `/api/products/${product.id}`, { brand }, { "if-match": '"v1"' }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412]);
    const refused = answers.find(({ status }) => status === 412);
    expect(await refused?.json()).toMatchObject({ code: "precondition_failed", currentVersion: 2 });
  });

  test("without If-Match, a change at the same moment is 409, not lost", async () => {
    const product = await made({ name: unique("Crossed"), price: 1 });
    const undo = around(t.deps.products, "replace", {
      before: () => send("PATCH", `/api/products/${product.id}`, { brand: "first" }),
    });
    const answer = await send("PATCH", `/api/products/${product.id}`, { description: "second" });
    undo();
    expect([answer.status, await codeOf(answer)]).toEqual([409, "version_conflict"]);
    expect((await dataOf(await t.request(`/api/products/${product.id}`))).brand).toBe("first");
  });

  test("PUT replaces and needs If-Match", async () => {
    const product = await made({ name: unique("Whole"), price: 1, brand: "A", metadata: { a: 1 } });
    const path = `/api/products/${product.id}`;
    expect((await send("PUT", path, { name: "New", price: 5 })).status).toBe(428);
    expect((await send("PUT", path, { name: "New", price: 5 }, { "if-match": '"v9"' })).status).toBe(412);
    const replaced = await dataOf(await send("PUT", path, { name: "New", price: 5 }, { "if-match": '"v1"' }));
    expect(replaced).toMatchObject({
      name: "New",
      brand: null,
      metadata: {},
      price: { amount: 5 },
      createdAt: product.createdAt,
    });
  });

  test("what was not sent is not held to what a category says since", async () => {
    const category = await ensureCategoryPath(t.deps, [unique("Sized")]);
    const product = await made({
      name: unique("XL"),
      price: 1,
      categoryIds: [category._id],
      attrs: [{ key: "size", value: "XL" }],
    });
    const attributes = [{ key: "size", type: "enum", values: ["S", "M"] }];
    const ruled = await send(
      "PATCH",
      `/api/products/categories/${category._id}`,
      { attributes },
      { "if-match": `"v${category.version}"` },
    );
    expect(ruled.status).toBe(200);
    const path = `/api/products/${product.id}`;
    const archived = await dataOf(await send("PATCH", path, { price: 2, status: "archived" }));
    expect(archived).toMatchObject({ status: "archived", categoryIds: [category._id], attrs: product.attrs });
    for (const change of [{ attrs: [{ key: "size", value: "XL" }] }, { categoryIds: [category._id] }]) {
      expect((await send("PATCH", path, change)).status).toBe(422);
    }
    expect((await send("PATCH", path, { attrs: [{ key: "size", value: "M" }] })).status).toBe(200);
    const stored = await t.deps.products.findById(product.id);
    expect([stored?.categoryIds, stored?.categoryTree]).toEqual([[category._id], [category._id]]);
  });

  test("a category that is gone and was not sent is dropped; one that is sent is 422", async () => {
    const kept = await ensureCategoryPath(t.deps, [unique("Kept"), "Below"]);
    const gone = t.deps.random.id();
    const product = await made({ name: unique("Orphan"), price: 1, categoryIds: [kept._id] });
    const lose = () =>
      t.deps.mongo.connection
        .collection<{ _id: string }>("products")
        .updateOne(
          { _id: product.id },
          { $set: { categoryIds: [gone, kept._id], categoryTree: [gone, ...kept.ancestors, kept._id] } },
        );
    const path = `/api/products/${product.id}`;
    for (const change of [{ price: 2 }, { attrs: [{ key: "a", value: 1 }] }]) {
      await lose();
      expect((await dataOf(await send("PATCH", path, change))).categoryIds).toEqual([kept._id]);
      expect((await t.deps.products.findById(product.id))?.categoryTree).toEqual([
        ...kept.ancestors,
        kept._id,
      ]);
    }
    await lose();
    expect((await send("PATCH", path, { categoryIds: [gone] })).status).toBe(422);
    expect((await dataOf(await send("PATCH", path, { categoryIds: [kept._id] }))).categoryIds).toEqual([
      kept._id,
    ]);
  });

  test("another currency needs a price, and leaves no compare-at price of the old one", async () => {
    const one = await made({ name: unique("Dollars"), price: 4900 });
    const path = `/api/products/${one.id}`;
    const refused = await send("PATCH", path, { currency: "JPY" });
    expect([refused.status, await refused.json()]).toMatchObject([
      422,
      { errors: [{ path: "price", code: "required", message: "is needed with another currency" }] },
    ]);
    expect((await send("PATCH", path, { currency: "USD" })).status).toBe(200);
    const yen = await dataOf(await send("PATCH", path, { currency: "JPY", price: 700 }));
    expect(yen.variants[0]?.price).toEqual({ amount: 700, currency: "JPY" });

    const [a, b] = [unique("A"), unique("B")];
    const compared = await made({
      name: unique("Sale"),
      variants: [{ sku: a, price: 1, compareAtPrice: 2 }],
    });
    const two = await made({
      name: unique("Two"),
      variants: [a, b].map((sku) => ({ sku: `${sku}-2`, price: 1 })),
    });
    for (const [product, change] of [
      [compared, { currency: "JPY", price: 1 }],
      [compared, { currency: "JPY" }],
      [two, { currency: "JPY" }],
    ] as const) {
      const answer = await send("PATCH", `/api/products/${product.id}`, change);
      expect([answer.status, await answer.json()]).toMatchObject([
        422,
        { errors: [{ path: "variants", code: "required" }] },
      ]);
    }
    const variants = [{ sku: a, price: 300, compareAtPrice: 400 }];
    const sent = await dataOf(
      await send("PATCH", `/api/products/${compared.id}`, { currency: "JPY", variants }),
    );
    expect(sent.variants[0]?.compareAtPrice).toEqual({ amount: 400, currency: "JPY" });
  });

  test("a price alone is refused for several variants; nothing, and foreign keys, are refused", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({
      name: unique("Two"),
      variants: [
        { sku: a, price: 1 },
        { sku: b, price: 2 },
      ],
    });
    const path = `/api/products/${product.id}`;
    expect((await send("PATCH", path, { price: 5 })).status).toBe(422);
    expect((await send("PATCH", path, {})).status).toBe(422);
    for (const key of ["id", "version", "createdAt", "popularity", "inStock", "deletedAt", "slugKey"]) {
      expect((await send("PATCH", path, { [key]: 1 })).status).toBe(422);
    }
    expect((await send("PATCH", `/api/products/${t.deps.random.id()}`, { brand: "x" })).status).toBe(404);
    expect((await t.request(path, { method: "PATCH", json: { brand: "x" } })).status).toBe(401);
  });
});

describe("taking away the SKU that has stock", () => {
  test.each(["PATCH", "PUT"])("%s: the product is no longer in stock", async (method) => {
    const stock = await createStock(t, manager);
    const sku = await stock.sku(5);
    const product = await t.deps.products.findBySku(sku.toLowerCase());
    const path = `/api/products/${product?._id}`;
    expect(product?.inStock).toBe(true);
    const json = { name: "x", variants: [{ sku: unique("B"), price: 1 }] };
    expect((await send(method, `${path}?leaveStock=true`, json, { "if-match": '"v1"' })).status).toBe(200);
    await settleSignals(t.deps);
    expect((await dataOf(await t.request(path))).inStock).toBe(false);
    // And back: the level has stayed.
    await send("PATCH", path, { variants: [{ sku, price: 1 }] });
    await settleSignals(t.deps);
    expect((await dataOf(await t.request(path))).inStock).toBe(true);
  });
});

describe("deleting and restoring", () => {
  test("a deleted SKU can be made again; then restoring the old one is 409", async () => {
    const sku = unique("GONE");
    const old = await made({ name: unique("Old"), variants: [{ sku, price: 1 }] });
    expect((await send("DELETE", `/api/products/${old.id}`)).status).toBe(204);
    expect((await t.request(`/api/products/${old.id}`)).status).toBe(404);
    expect((await send("DELETE", `/api/products/${old.id}`)).status).toBe(404);
    const young = await made({ name: unique("Young"), variants: [{ sku: sku.toLowerCase(), price: 1 }] });
    const refused = await send("POST", `/api/products/${old.id}/restore`);
    expect([refused.status, await codeOf(refused)]).toEqual([409, "already_exists"]);
    expect((await send("DELETE", `/api/products/${young.id}`)).status).toBe(204);
    expect((await send("POST", `/api/products/${old.id}/restore`)).status).toBe(200);
    expect((await t.request(`/api/products/${old.id}`)).status).toBe(200);
    expect((await send("POST", `/api/products/${old.id}/restore`)).status).toBe(409);
    expect((await send("POST", `/api/products/${t.deps.random.id()}/restore`)).status).toBe(404);
  });

  test("a stale delete is 412", async () => {
    const product = await made({ name: unique("Stale"), price: 1 });
    await send("PATCH", `/api/products/${product.id}`, { brand: "x" });
    expect(
      (await send("DELETE", `/api/products/${product.id}`, undefined, { "if-match": '"v1"' })).status,
    ).toBe(412);
    expect(
      (await send("DELETE", `/api/products/${product.id}`, undefined, { "if-match": '"v2"' })).status,
    ).toBe(204);
  });

  test("many products without variants' keys can be deleted: absent keys do not collide", async () => {
    for (let n = 0; n < 3; n++) {
      const product = await made({ name: unique("Deleted"), price: 1 });
      expect((await send("DELETE", `/api/products/${product.id}`)).status).toBe(204);
    }
  });
});

describe("what is not active", () => {
  test("is shown to those who may edit, and to nobody else", async () => {
    const draft = await made({ name: unique("Draft"), price: 1, status: "draft" });
    const customer = await t.signIn();
    const path = `/api/products/${draft.id}`;
    expect((await t.request(path)).status).toBe(404);
    expect((await t.request(path, { token: customer.accessToken })).status).toBe(404);
    expect((await t.request(path, { token: manager.accessToken })).status).toBe(200);
    expect((await t.request(path, { token: "not.a.token" })).status).toBe(401);
    expect((await list("limit=100")).data.map(({ id }) => id)).not.toContain(draft.id);
    expect((await t.request("/api/products?filter[status]=draft")).status).toBe(403);
    const drafts = await t.request("/api/products?filter[status]=draft", { token: manager.accessToken });
    expect(((await drafts.json()) as Page).data.map(({ id }) => id)).toContain(draft.id);
  });
});

describe("lists", () => {
  const BRAND = `List ${Math.random()}`;
  let all: ProductResponse[] = [];
  beforeAll(async () => {
    all = [];
    for (let n = 0; n < 12; n++) {
      t.clock.advance(n % 3 === 0 ? 1000 : 0);
      all.push(
        await made({
          name: `${["Äpple", "apple", "Zebra", "ånger"][n % 4]} ${n}`,
          brand: BRAND,
          price: [100, 200, 300][n % 3],
          attrs: [
            { key: "Color", value: ["Red", "blue"][n % 2] },
            { key: "size", value: n },
          ],
        }),
      );
    }
  });
  const inBrand = (more = "") => `filter[brand]=${encodeURIComponent(BRAND.toUpperCase())}${more}`;
  const collect = async (query: string, limit: number) => {
    const found: ItemResponse[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: Page = await list(`${query}&limit=${limit}${cursor === "" ? "" : `&cursor=${cursor}`}`);
      found.push(...page.data);
      expect(page.page.hasMore).toBe(page.page.nextCursor !== null);
      cursor = page.page.nextCursor;
    }
    return found;
  };

  test.each(["createdAt", "-createdAt", "price", "-price", "name", "-name", "popularity", "-popularity"])(
    "sort=%s gives each once in order, whatever the page size",
    async (sort) => {
      const whole = await collect(inBrand(`&sort=${sort}`), 100);
      expect(new Set(whole.map(({ id }) => id))).toEqual(new Set(all.map(({ id }) => id)));
      for (const limit of [1, 5, 12]) {
        expect((await collect(inBrand(`&sort=${sort}`), limit)).map(({ id }) => id)).toEqual(
          whole.map(({ id }) => id),
        );
      }
      if (sort === "price") {
        const prices = whole.map(({ price }) => price.amount);
        expect(prices).toEqual(prices.toSorted((a, b) => a - b));
      }
    },
  );

  test("filters by price, attributes, stock, alone and together", async () => {
    const amounts = async (more: string) =>
      (await collect(inBrand(more), 100)).map(({ price }) => price.amount);
    expect(new Set(await amounts("&filter[price][gte]=200"))).toEqual(new Set([200, 300]));
    expect(new Set(await amounts("&filter[price][gte]=150&filter[price][lte]=250"))).toEqual(new Set([200]));
    expect(await amounts("&filter[attr.color]=RED")).toHaveLength(6);
    expect(await amounts("&filter[attr.color]=red,blue")).toHaveLength(12);
    expect(await amounts("&filter[attr.color]=red&filter[attr.size]=2,3,4")).toHaveLength(2);
    expect(await amounts("&filter[attr.color]=green")).toHaveLength(0);
    expect(await amounts("&filter[inStock]=true")).toHaveLength(0);
    expect(await amounts("&filter[inStock]=false")).toHaveLength(12);
  });

  test("is a summary; more is asked for by name, with one query each", async () => {
    const [plain] = (await list(inBrand())).data;
    expect(plain).not.toHaveProperty("variants");
    expect(plain).not.toHaveProperty("description");
    const [rich] = (await list(inBrand("&include=variants,categories,stock"))).data;
    expect(rich?.variants).toHaveLength(1);
    expect(rich?.categories).toEqual([]);
    expect(rich?.stock).toEqual([{ sku: rich?.variants?.[0]?.sku ?? "", inStock: false, orderable: false }]);
  });

  test("a total is given when it is asked for", async () => {
    expect((await list(inBrand())).page.total).toBeUndefined();
    expect((await list(inBrand("&count=true&limit=2"))).page.total).toEqual({ value: 12, relation: "eq" });
  });

  test.each([
    "filter[price][$where]=1",
    "filter[price][$gt]=1",
    "filter[$or]=1",
    "filter[price]=1",
    "filter[price][gte]=1.5",
    "filter[price][gte]=9999999999999999",
    "__proto__=1",
    "filter[__proto__]=1",
    "constructor[prototype]=1",
    "filter[category]=../x",
    "filter[attr.a.b]=1",
    "filter[attr.$where]=1",
    "filter[status]=deleted",
    "sort=_id",
    "sort=-createdAt,price",
    "include=variants,secrets",
    "limit=0",
    "limit=101",
    "limit=1e1",
    "limit=5&limit=6",
    "count=1",
    "unknown=1",
  ])("?%s is 422", async (query) => {
    expect((await t.request(`/api/products?${query}`)).status).toBe(422);
  });

  test("a cursor of another filter, sort or list, or with a flipped byte, is 400", async () => {
    const { page } = await list(inBrand("&limit=2"));
    const cursor = page.nextCursor ?? "";
    for (const query of [`limit=2&cursor=${cursor}`, inBrand(`&sort=price&cursor=${cursor}`)]) {
      expect((await t.request(`/api/products?${query}`)).status).toBe(400);
    }
    const flipped = (cursor[0] === "A" ? "B" : "A") + cursor.slice(1);
    expect((await t.request(`/api/products?${inBrand(`&cursor=${flipped}`)}`)).status).toBe(400);
    expect((await t.request(`/api/products?${inBrand(`&cursor=${cursor}`)}`)).status).toBe(200);
  });

  test("a cursor with any one byte changed is 400", async () => {
    const { page } = await list(inBrand("&limit=2"));
    const cursor = page.nextCursor ?? "";
    for (let at = 0; at < cursor.length; at++) {
      const flipped = cursor.slice(0, at) + (cursor[at] === "A" ? "B" : "A") + cursor.slice(at + 1);
      expect([
        at,
        (await t.request(`/api/products?${inBrand(`&limit=2&cursor=${flipped}`)}`)).status,
      ]).toEqual([at, 400]);
    }
    for (const bad of ["", "x", `${cursor}A`, cursor.slice(1), "%00", "a".repeat(1999)]) {
      expect((await t.request(`/api/products?${inBrand(`&limit=2&cursor=${bad}`)}`)).status).toBe(400);
    }
  }, 60_000);

  test("a query of 10 kB is 422", async () => {
    for (const query of [
      `filter[brand]=${"x".repeat(10_240)}`,
      `${"x".repeat(10_240)}=1`,
      `cursor=${"x".repeat(10_240)}`,
      Array.from({ length: 1200 }, (_, n) => `filter[attr.a${n}]=1`).join("&"),
      `filter[attr.a]=${Array.from({ length: 21 }, (_, n) => n).join(",")}`,
    ]) {
      expect((await t.request(`/api/products?${query}`)).status).toBe(422);
    }
  });

  test("include gives variants, categories and stock as they are", async () => {
    const category = await ensureCategoryPath(t.deps, [unique("Shelf"), "Lamps"]);
    const sku = unique("INCL");
    const brand = unique("Include");
    await made({
      name: "Included",
      brand,
      categoryIds: [category._id],
      variants: [
        { sku, price: 1 },
        { sku: `${sku} B`, price: 2 },
      ],
    });
    const [one] = (await list(`filter[brand]=${encodeURIComponent(brand)}&include=stock,categories,variants`))
      .data;
    expect(one?.categories).toEqual([
      { id: category._id, name: "Lamps", slug: "lamps", path: category.path },
    ]);
    expect(one?.variants?.map((variant) => variant.sku)).toEqual([sku, `${sku} B`]);
    expect(one?.stock).toEqual([
      { sku, inStock: false, orderable: false },
      { sku: `${sku} B`, inStock: false, orderable: false },
    ]);
    const root = category.ancestors[0] ?? "";
    expect((await list(`filter[category]=${root}`)).data.map(({ name }) => name)).toEqual(["Included"]);
  });

  test("include=stock sums active locations; exact quantities are for those who may read the inventory", async () => {
    const stock = await createStock(t, manager);
    const [second, closed] = [await stock.location(), await stock.location()];
    const brand = unique("Stocked");
    const [some, none, never] = [unique("SOME"), unique("NONE"), unique("NEVER")];
    await made({ name: "x", brand, variants: [some, none, never].map((sku) => ({ sku, price: 1 })) });
    for (const [sku, locationId, delta] of [
      [some, stock.locationId, 5],
      [some, second, 7],
      [some, closed, 11],
      [none, closed, 3],
    ]) {
      await stock.post("/adjust", { sku, locationId, delta, kind: "receive", reason: "test" });
    }
    expect((await stock.reserve([{ sku: some, quantity: 2, locationId: stock.locationId }])).status).toBe(
      201,
    );
    expect((await stock.patch(`/locations/${closed}`, { active: false }, 1)).status).toBe(200);

    const query = `/api/products?filter[brand]=${encodeURIComponent(brand)}&include=stock`;
    const stockOf = async (more: string, token?: string) => {
      const page = (await (await t.request(`${query}${more}`, { token })).json()) as Page;
      return page.data[0];
    };
    const seen = [some, none, never].map((sku) => ({ sku, inStock: sku === some, orderable: sku === some }));
    const exact = seen.map((row) => ({ ...row, available: row.inStock ? 10 : 0 }));
    expect((await stockOf(""))?.stock).toEqual(seen);
    expect(await stockOf("")).not.toHaveProperty("variants");
    expect((await stockOf("", (await t.signIn()).accessToken))?.stock).toEqual(seen);
    expect((await stockOf("", manager.accessToken))?.stock).toEqual(exact);
    const both = await stockOf(",variants", manager.accessToken);
    expect(both?.stock).toEqual(exact);
    expect(both?.variants?.map(({ sku, price }) => [sku, price.amount])).toEqual([
      [some, 1],
      [none, 1],
      [never, 1],
    ]);
  });

  test.each(["\u65e5", "\u1f80", '"', "\u{20000}"])(
    "sort=name: the cursor of a name of 500 × %p is taken",
    async (letter) => {
      const brand = unique("Long names");
      for (let n = 0; n < 3; n++) await made({ name: letter.repeat(500), brand, price: 1 });
      const query = `filter[brand]=${encodeURIComponent(brand)}&sort=name`;
      expect(await collect(query, 1)).toHaveLength(3);
    },
  );

  test("while others are added and deleted between equal keys, every untouched one comes exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("add", "delete", "none"), { minLength: 4, maxLength: 8 }),
        async (steps) => {
          const brand = unique("Paged");
          const untouched = [];
          const victims: ProductResponse[] = [];
          for (let n = 0; n < 6; n++) untouched.push(await made({ name: "Equal", brand, price: 5 }));
          for (let n = 0; n < 3; n++) victims.push(await made({ name: "Equal", brand, price: 5 }));
          const seen: string[] = [];
          const query = `filter[brand]=${encodeURIComponent(brand)}&sort=price&limit=2`;
          let cursor: string | null = "";
          for (let step = 0; cursor !== null; step++) {
            const page: Page = await list(`${query}${cursor === "" ? "" : `&cursor=${cursor}`}`);
            seen.push(...page.data.map(({ id }) => id));
            cursor = page.page.nextCursor;
            const act = steps[step] ?? "none";
            if (act === "add" && step < 8) await made({ name: "Equal", brand, price: 5 });
            const victim = act === "delete" ? victims.pop() : undefined;
            if (victim) await send("DELETE", `/api/products/${victim.id}`);
          }
          expect(new Set(seen).size).toBe(seen.length);
          for (const { id } of untouched) expect(seen).toContain(id);
        },
      ),
      { numRuns: 6 },
    );
  }, 60_000);

  test("a list or a count that takes too long is 503 and says so", async () => {
    const template = await t.deps.products.findById((await made({ name: unique("Slow"), price: 1 })).id);
    const rows = Array.from({ length: 3000 }, (_, n) => ({
      ...template,
      _id: t.deps.random.id(),
      slugKey: `slow-${n}`,
      skuKeys: [`slow-${n}`],
      nameKey: `${n}`,
      price: n,
    }));
    await t.deps.mongo.connection.collection("products").insertMany(rows as never);
    const hurried = createProductStore(t.deps.mongo, t.deps.search, 1);
    const { list: listed, countOf } = t.deps.products;
    for (const method of [{ list: hurried.list }, { countOf: hurried.countOf }]) {
      Object.assign(t.deps.products, method);
      const answer = await t
        .request(
          "/api/products?filter[price][gte]=1&filter[price][lte]=2998&filter[currency]=USD&sort=name&count=true",
        )
        .finally(() => Object.assign(t.deps.products, { list: listed, countOf }));
      expect(answer.headers.get("content-type")).toStartWith("application/problem+json");
      expect(answer.headers.get("retry-after")).toBe("5");
      expect([answer.status, await answer.json()]).toMatchObject([
        503,
        {
          code: "service_unavailable",
          detail: "The list took too long. Narrow its filter or sort otherwise.",
        },
      ]);
    }
    await t.deps.mongo.connection.collection("products").deleteMany({ slugKey: /^slow-/ });
  });

  test("each sort with none or one of category, brand and stock reads at most two documents for each it gives", async () => {
    const category = t.deps.random.id();
    const now = t.clock.now();
    const { Product } = t.deps.mongo.connection.models;
    const [template] = await (
      Product as unknown as { find(): { limit(n: number): { lean(): Promise<object[]> } } }
    )
      .find()
      .limit(1)
      .lean();
    const rows = Array.from({ length: 3000 }, (_, n) => ({
      ...template,
      _id: t.deps.random.id(),
      slugKey: `explain-${n}`,
      skuKeys: [`explain-${n}`],
      name: `E ${n % 50}`,
      nameKey: `e ${n % 50}`,
      brand: `B${n % 7}`,
      brandKey: `b${n % 7}`,
      status: n % 5 === 0 ? "draft" : "active",
      categoryTree: n % 3 === 0 ? [category] : [],
      inStock: n % 40 === 1,
      price: n % 11,
      popularity: n % 13,
      createdAt: new Date(now.getTime() + (n % 17) * 1000),
      deletedAt: null,
    }));
    // New indexes: what tests before this one deleted stays in the old ones of the local engine until they are cleaned.
    await t.deps.mongo.connection.collection("products").drop();
    await buildIndexes(t.deps.mongo);
    await t.deps.mongo.connection.collection("products").insertMany(rows as never);
    for (const name of ["createdAt", "price", "name", "popularity"] as const) {
      for (const filter of [
        {},
        { category },
        { brand: "b3" },
        { status: "draft" as const },
        { inStock: true },
      ]) {
        // By name the few that are in stock have no index.
        if (name === "name" && "inStock" in filter) continue;
        for (const descending of [true, false]) {
          const sort = { name, descending };
          const asked: ProductFilter = { status: "active", attrs: [], ...filter };
          const examined = async (after: ListPosition | null) => {
            const plans = (await t.deps.products.explainList(asked, sort, 20, after)) as Plan[];
            return plans.map((plan) => {
              const { nReturned, totalDocsExamined, totalKeysExamined } = plan.executionStats;
              // A step that finds nothing may look at the one row that ends its range. The local engine sorts what a
              // range of an index over a list finds (docs/engines.md); MongoDB reads it in order.
              const sorted =
                after !== null && "category" in filter && JSON.stringify(plan).includes('"stage":"SORT"');
              // Of the index it may read the rows of one sort key more (at most 300 here), never all that lie before.
              const bounded =
                sorted || (totalDocsExamined <= 2 * nReturned + 1 && totalKeysExamined <= nReturned + 300);
              expect({ name, filter, descending, after, bounded }).toEqual({
                name,
                filter,
                descending,
                after,
                bounded: true,
              });
              return nReturned;
            });
          };
          expect(await examined(null)).toEqual([20]);
          // Far behind: the page costs what the first does, however many lie before it.
          const all = await t.deps.products.list(asked, sort, null, 10_000);
          const last = all[Math.floor(all.length * 0.7)];
          if (!last) throw new Error("there is no row to go on behind");
          const key = {
            createdAt: last.createdAt,
            price: last.price,
            popularity: last.popularity,
            name: last.nameKey ?? "",
          }[name];
          expect(
            (await examined({ key, id: last._id })).reduce((sum, found) => sum + found, 0),
          ).toBeGreaterThanOrEqual(20);
        }
      }
    }
    await t.deps.mongo.connection.collection("products").deleteMany({ slugKey: /^explain-/ });
  }, 60_000);
});

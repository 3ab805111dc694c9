/** What a shop reads: products by id and slug, lists with all that a page shows, categories and brands. */
import { beforeAll, describe, expect, test } from "bun:test";
import sharp from "sharp";
import { withOption } from "../../test/addresses";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock } from "../../test/stock";
import type { ItemResponse, ProductResponse } from "./answers";
import type { CategoryResponse } from "./categories/schema";
import { completeProducts } from "./complete";
import { createCounts } from "./counts";
import { INCLUDES } from "./filters";
import { productModel } from "./model";
import { isReserved } from "./reserved";

// So that the driver says what it asks the database, and queries can be counted.
const t = useTestApp(({ mongodbUri }) => ({ mongodbUri: withOption(mongodbUri, "monitorCommands", "true") }));
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

const send = (method: string, path: string, json?: object, headers: Record<string, string> = {}) =>
  t.request(`/api/products${path}`, {
    method,
    token: manager.accessToken,
    headers,
    ...(json === undefined ? {} : { json }),
  });
async function data<T>(answer: Response | Promise<Response>, status = 200): Promise<T> {
  const { status: got, ...rest } = { status: (await answer).status, text: await (await answer).text() };
  if (got !== status) throw new Error(`${got} ${rest.text}`);
  return (JSON.parse(rest.text) as { data: T }).data;
}
const made = (json: object) => data<ProductResponse>(send("POST", "", json), 201);
const category = (json: object) => data<CategoryResponse>(send("POST", "/categories", json), 201);
/** As a guest. */
const read = (path: string) => t.request(`/api/products${path}`);
const list = (query: string) => data<ItemResponse[]>(read(`?${query}`));
let serial = 0;
const unique = (name: string) => `${name} ${++serial} ${Bun.randomUUIDv7().slice(-6)}`;

async function picture(productId: string, alt: string, width = 40) {
  const bytes = await sharp({ create: { width, height: 30, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const form = new FormData();
  form.set("file", new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
  form.set("alt", alt);
  const answer = await t.request(`/api/products/${productId}/images`, {
    method: "POST",
    token: manager.accessToken,
    body: form,
  });
  return data<{ id: string; version: number }>(answer, 201);
}

/** Lets an existing product look as one that was written before lists showed more than a name and a price. */
const makeOld = (id: string) =>
  productModel(t.deps.mongo.connection).collection.updateOne({ _id: id as never }, {
    $unset: {
      priceMax: 1,
      compareAtPrice: 1,
      variantCount: 1,
      optionNames: 1,
      gtinKeys: 1,
      picture: 1,
      pictureRevision: 1,
    },
  } as never);

describe("a product in a list", () => {
  const size = (value: string) => [
    { name: "Size", value },
    { name: "Colour", value: "red" },
  ];
  test("carries what a shop shows, and so do the product and a search", async () => {
    const name = unique("Whole wombat");
    const product = await made({
      name,
      brand: "Fjell",
      variants: [
        { sku: unique("A"), price: 300, compareAtPrice: 900, options: size("L") },
        { sku: unique("B"), price: 200, compareAtPrice: 250, options: size("M") },
        { sku: unique("C"), price: 250, options: size("S") },
        { sku: unique("D"), price: 900, currency: "JPY" },
      ],
    });
    const usd = (amount: number) => ({ amount, currency: "USD" });
    const shown = {
      brand: "Fjell",
      price: usd(200),
      priceRange: { min: usd(200), max: usd(300) },
      compareAtPrice: usd(250),
      variantCount: 4,
      optionNames: ["Size", "Colour"],
      picture: null,
      inStock: false,
    };
    expect(product).toMatchObject(shown);
    const [item] = await list(`filter[id]=${product.id}`);
    expect(item).toMatchObject(shown);
    expect(await data<ProductResponse>(read(`/${product.id}`))).toMatchObject(shown);
    const [found] = await data<ItemResponse[]>(read(`/search?q=${encodeURIComponent(name)}`));
    expect(found).toMatchObject({ id: product.id, ...shown });
    const changed = await data<ProductResponse>(
      send("PATCH", `/${product.id}`, { variants: [{ sku: unique("E"), price: 700 }] }),
    );
    const now = {
      priceRange: { min: usd(700), max: usd(700) },
      compareAtPrice: null,
      variantCount: 1,
      optionNames: [],
    };
    expect(changed).toMatchObject(now);
    expect((await list(`filter[id]=${product.id}`))[0]).toMatchObject(now);
  });

  test("has the first picture, through every change of the pictures and of the product", async () => {
    const { id, version } = await made({ name: unique("Pictured"), price: 1 });
    const first = async () => {
      const [item] = await list(`filter[id]=${id}&include=images`);
      const whole = await data<ProductResponse>(read(`/${id}?include=images`));
      expect(whole.picture).toEqual(item?.picture ?? null);
      expect(whole.images).toEqual(item?.images);
      const {
        position: _p,
        version: _v,
        createdAt: _c,
        variantIds: _i,
        ...cover
      } = item?.images?.[0] ?? ({} as never);
      expect(item?.picture ?? {}).toEqual(cover);
      return item?.picture;
    };
    expect(await first()).toBeNull();
    const a = await picture(id, "first");
    expect(await first()).toMatchObject({ id: a.id, alt: "first", width: 40, height: 30 });
    const b = await picture(id, "second", 50);
    expect((await first())?.id).toBe(a.id);
    await t.runner.runDue();
    expect((await first())?.sources.map(({ type }) => type)).toEqual(["image/avif", "image/webp"]);
    await send("PATCH", `/${id}/images/${b.id}`, { position: 0, alt: "now first" });
    expect(await first()).toMatchObject({ id: b.id, alt: "now first", width: 50 });
    await send("PATCH", `/${id}/images/${b.id}`, { alt: "renamed" });
    expect((await first())?.alt).toBe("renamed");
    const patched = await data<ProductResponse>(send("PATCH", `/${id}`, { name: unique("Renamed") }));
    expect([patched.version, patched.picture?.id]).toEqual([version + 1, b.id]);
    expect((await first())?.id).toBe(b.id);
    await send("DELETE", `/${id}/images/${b.id}`);
    expect((await first())?.id).toBe(a.id);
    await send("DELETE", `/${id}/images/${a.id}`);
    expect(await first()).toBeNull();
  });

  test("has the picture that is first in the end when many change them at once", async () => {
    const { id } = await made({ name: unique("Raced"), price: 1 });
    const pictures = [await picture(id, "a"), await picture(id, "b"), await picture(id, "c")];
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        t.runner.runDue(),
        ...pictures.map(({ id: imageId }, index) =>
          send("PATCH", `/${id}/images/${imageId}`, { position: 0, alt: `${round} ${index}` }),
        ),
      ]);
      const [item] = await list(`filter[id]=${id}&include=images`);
      const [first] = item?.images ?? [];
      expect(item?.picture).toEqual({
        id: first?.id ?? "",
        alt: first?.alt ?? "",
        width: 40,
        height: 30,
        sources: first?.sources ?? [],
      });
    }
  });

  test("a product of before lists showed this is shown rightly, and completed by the deploy step", async () => {
    const gtin = "4006381333931";
    const { id } = await made({
      name: unique("Old"),
      variants: [
        { sku: unique("O"), price: 5, compareAtPrice: 9, gtin, options: size("M") },
        { sku: unique("O"), price: 7, options: size("L") },
      ],
    });
    const { id: pictureId } = await picture(id, "old");
    const query = `filter[id]=${id}&include=images,variants,categories,stock`;
    const [whole] = await list(query);
    await makeOld(id);
    expect(await list(query)).toEqual([whole as ItemResponse]);
    expect((await data<ProductResponse>(read(`/${id}`))).picture?.id).toBe(pictureId);
    expect(await completeProducts(t.deps.mongo)).toBe(1);
    expect(await completeProducts(t.deps.mongo)).toBe(0);
    expect(await list(query)).toEqual([whole as ItemResponse]);
    expect((await list(`filter[gtin]=${gtin}`)).map((item) => item.id)).toEqual([id]);
    // A change of an old product keeps its picture.
    await makeOld(id);
    await send("PATCH", `/${id}`, { name: unique("Older") });
    expect((await list(`filter[id]=${id}`))[0]?.picture?.id).toBe(pictureId);
  });

  test("the deploy step puts nothing old over what somebody writes at the same moment", async () => {
    const { id } = await made({ name: unique("Meanwhile"), variants: [{ sku: unique("M"), price: 5 }] });
    const { id: pictureId } = await picture(id, "meanwhile");
    await makeOld(id);
    const [row] = await t.deps.products.incomplete(10);
    await send("PATCH", `/${id}`, { variants: [{ sku: unique("M"), price: 8 }] });
    await send("PATCH", `/${id}/images/${pictureId}`, { alt: "new" });
    await t.deps.products.complete([
      {
        _id: id,
        version: row?.version ?? 0,
        pictureRevision: row?.pictureRevision,
        priceMax: 5,
        compareAtPrice: null,
        variantCount: 1,
        optionNames: [],
        picture: null,
      },
    ]);
    const [item] = await list(`filter[id]=${id}`);
    expect([item?.priceRange.max.amount, item?.picture?.alt]).toEqual([8, "new"]);
  });
});

describe("a page of 24", () => {
  test("is one request with a number of queries that does not grow, with all that can be included", async () => {
    const stock = await createStock(t, manager);
    const brand = unique("Home");
    const top = await category({ name: unique("Top") });
    const below = await category({ name: unique("Below"), parentId: top.id });
    for (let n = 0; n < 24; n++) {
      const skus = [unique("H"), unique("H")];
      const { id } = await made({
        name: `${brand} ${n}`,
        brand,
        categoryIds: [below.id],
        variants: skus.map((sku) => ({ sku, price: 100 + n })),
      });
      if (n % 2 === 0) await picture(id, `picture ${n}`);
      if (n % 3 === 0) {
        await stock.post("/adjust", { sku: skus[0], locationId: stock.locationId, delta: 2, reason: "x" });
      }
      if (n % 4 === 0) await makeOld(id);
    }
    const queries = async (limit: number) => {
      const client = t.deps.mongo.connection.getClient();
      let count = 0;
      const counts = () => {
        count++;
      };
      client.on("commandStarted", counts);
      const items = await list(
        `filter[brand]=${encodeURIComponent(brand)}&limit=${limit}&include=${INCLUDES.join(",")}`,
      ).finally(() => client.off("commandStarted", counts));
      return { items, count };
    };
    const { items, count } = await queries(24);
    expect(items).toHaveLength(24);
    for (const item of items) {
      const n = Number(item.name.split(" ").at(-1));
      expect(item).toMatchObject({
        variantCount: 2,
        categories: [{ id: below.id, name: below.name, slug: below.slug, path: below.path }],
        breadcrumbs: [
          { id: top.id, name: top.name },
          { id: below.id, name: below.name },
        ],
        inStock: n % 3 === 0,
      });
      expect([item.variants?.length, item.stock?.length, item.images?.length]).toEqual([
        2,
        2,
        n % 2 === 0 ? 1 : 0,
      ]);
      expect(item.picture?.alt ?? "").toBe(n % 2 === 0 ? `picture ${n}` : "");
      expect(item.stock?.some(({ inStock }) => inStock)).toBe(n % 3 === 0);
    }
    // The page, its categories, pictures, locations and levels; two more for products of before all this was kept.
    expect(count).toBeLessThanOrEqual(7);
    expect(count).toBeGreaterThan(0);
    expect((await queries(4)).count).toBeLessThanOrEqual(count);
    await completeProducts(t.deps.mongo);
    expect((await queries(24)).count).toBe(5);
  });
});

describe("filters that name products", () => {
  test("by id, SKU and GTIN, in any of their spellings, and nothing else", async () => {
    const sku = unique("Straße");
    const a = await made({ name: unique("Named"), variants: [{ sku, price: 1, gtin: "036000291452" }] });
    const b = await made({
      name: unique("Named"),
      variants: [{ sku: unique("X"), price: 2, gtin: "96385074" }],
    });
    const draft = await made({ name: unique("Named"), price: 3, status: "draft" });
    const ids = async (query: string) => new Set((await list(query)).map(({ id }) => id));
    expect(await ids(`filter[id]=${a.id},${b.id.toUpperCase()},${draft.id}`)).toEqual(new Set([a.id, b.id]));
    expect(await ids(`filter[sku]=${encodeURIComponent(sku.toUpperCase())},none`)).toEqual(new Set([a.id]));
    expect(await ids("filter[gtin]=0036000291452")).toEqual(new Set([a.id]));
    expect(await ids("filter[gtin]=036000291452,00000096385074")).toEqual(new Set([a.id, b.id]));
    expect(await ids(`filter[id]=${a.id},${b.id}&filter[price][gte]=2`)).toEqual(new Set([b.id]));
    expect((await list(`filter[id]=${a.id},${b.id}&sort=price`)).map(({ id }) => id)).toEqual([a.id, b.id]);
    await send("DELETE", `/${b.id}`);
    expect(await ids(`filter[id]=${a.id},${b.id}`)).toEqual(new Set([a.id]));
    expect(await ids("filter[gtin]=96385074")).toEqual(new Set());
  });

  test("read those products and no others", async () => {
    const { id, variants } = await made({
      name: unique("Alone"),
      variants: [{ sku: unique("Al"), price: 1, gtin: "4012345678901" }],
    });
    const sort = { name: "price" as const, descending: true };
    for (const filter of [
      { ids: [id] },
      { skus: [variants[0]?.sku.toLowerCase() ?? ""] },
      { gtins: ["04012345678901"] },
    ]) {
      const [plan] = (await t.deps.products.explainList(
        { status: "active", attrs: [], ...filter },
        sort,
        20,
      )) as {
        executionStats: { nReturned: number; totalDocsExamined: number; totalKeysExamined: number };
      }[];
      expect(plan?.executionStats.nReturned).toBe(1);
      expect(plan?.executionStats.totalDocsExamined).toBeLessThanOrEqual(1);
      expect(plan?.executionStats.totalKeysExamined).toBeLessThanOrEqual(2);
    }
  });

  test.each([
    ["no id", "filter[id]="],
    ["an id that is none", "filter[id]=x"],
    ["101 ids", `filter[id]=${Array.from({ length: 101 }, () => Bun.randomUUIDv7()).join(",")}`],
    ["an operator for an id", "filter[id][$ne]=x"],
    ["no SKU", "filter[sku]="],
    ["a SKU of 101 characters", `filter[sku]=${"x".repeat(101)}`],
    ["a GTIN of three digits", "filter[gtin]=123"],
    ["an operator for a GTIN", "filter[gtin]=$ne"],
    ["no category", "filter[category]="],
    ["a path that goes up", "filter[category]=..%2Fx"],
    ["a path with an empty part", "filter[category]=a%2F%2Fb"],
    ["a control character", "filter[category]=%00"],
    ["a path of 2,001 characters", `filter[category]=${"x".repeat(2001)}`],
    ["an unknown include", "include=secrets"],
    ["an empty include", "include="],
  ])("%s is 422", async (_, query) => {
    expect((await read(`?${query}`)).status).toBe(422);
  });
});

describe("a category", () => {
  test("is read, and filters, by id, slug and path; a path goes before a slug, the nearest to the root first", async () => {
    const name = unique("Lámp");
    const deep = await category({ name: unique("A first") });
    const nested = await category({ name, parentId: deep.id });
    const top = await category({ name: unique("Z last") });
    const root = await category({ name });
    const other = await category({ name: unique("Beneath"), parentId: root.id });
    expect(nested.slug).toBe(root.slug);
    const readId = async (key: string) => (await data<CategoryResponse>(read(`/categories/${key}`))).id;
    expect(await readId(root.id)).toBe(root.id);
    expect(await readId(root.slug.toUpperCase())).toBe(root.id);
    expect(await readId(encodeURIComponent(nested.path))).toBe(nested.id);
    expect(await readId(nested.path)).toBe(nested.id);
    expect(await readId(other.slug)).toBe(other.id);
    await send("DELETE", `/categories/${root.id}?moveTo=${top.id}`);
    expect(await readId(nested.slug)).toBe(nested.id);
    for (const key of ["nothing-here", "a/b/c", `${nested.path}/x`, "__proto__", "%24ne", "x".repeat(1900)]) {
      expect([key, (await read(`/categories/${key}`)).status]).toEqual([key, 404]);
    }
    const { id } = await made({ name: unique("In it"), price: 1, categoryIds: [nested.id] });
    for (const key of [nested.id, nested.slug, nested.path, deep.slug, deep.path.toUpperCase()]) {
      const found = await list(`filter[category]=${encodeURIComponent(key)}`);
      expect([key, found.map((item) => item.id)]).toEqual([key, [id]]);
    }
    expect(await list("filter[category]=nothing-here")).toEqual([]);
  });
});

describe("counts", () => {
  interface MenuItem {
    id: string;
    name: string;
    slug: string;
    count: number;
    children?: MenuItem[];
  }

  test("of categories and brands are those of what a guest can list", async () => {
    const top = await category({ name: unique("Counted") });
    const [one, two] = [
      await category({ name: unique("One"), parentId: top.id, position: 2 }),
      await category({ name: unique("Two"), parentId: top.id, position: 1 }),
    ];
    const brand = unique("Größe");
    const product = (more: object) => made({ name: unique("Counted"), price: 1, ...more });
    await product({ categoryIds: [one.id], brand });
    await product({ categoryIds: [one.id, two.id], brand });
    await product({ categoryIds: [top.id], brand: brand.toUpperCase() });
    await product({ categoryIds: [one.id], brand, status: "draft" });
    await product({ categoryIds: [one.id], brand, status: "archived" });
    const gone = await product({ categoryIds: [one.id], brand });
    await send("DELETE", `/${gone.id}`);
    const listed = await data<(CategoryResponse & { count: number })[]>(read("/categories"));
    for (const [which, count] of [
      [top, 3],
      [one, 2],
      [two, 1],
    ] as const) {
      expect(listed.find(({ id }) => id === which.id)?.count).toBe(count);
      expect(await list(`filter[category]=${which.path}`)).toHaveLength(count);
    }
    const menu = await data<MenuItem[]>(read("/menu"));
    const item = ({ id, name, slug }: CategoryResponse, count: number) => ({ id, name, slug, count });
    expect(menu.find(({ id }) => id === top.id)).toEqual({
      ...item(top, 3),
      children: [item(two, 1), item(one, 2)],
    });
    const brands = await data<{ name: string; count: number }[]>(read("/brands?limit=1000"));
    expect(brands.filter(({ name }) => name.toLowerCase() === brand.toLowerCase())).toEqual([
      { name: brand, count: 3 },
    ]);
  });

  test("of brands come in pages, by name or by how many, each once", async () => {
    const whole = await data<{ name: string; count: number }[]>(read("/brands?limit=1000"));
    expect(whole.length).toBeGreaterThan(2);
    for (const sort of ["name", "-count"]) {
      const seen: { name: string; count: number }[] = [];
      for (let cursor = ""; ; ) {
        const answer = await read(`/brands?sort=${sort}&limit=2${cursor}`);
        const page = (await answer.json()) as { data: typeof seen; page: { nextCursor: string | null } };
        seen.push(...page.data);
        if (page.page.nextCursor === null) break;
        cursor = `&cursor=${page.page.nextCursor}`;
      }
      const order = sort === "name" ? whole : whole.toSorted((a, b) => b.count - a.count);
      expect(seen).toEqual(order);
    }
    const { page } = (await (await read("/brands?limit=1")).json()) as { page: { nextCursor: string } };
    expect((await read(`/brands?sort=-count&cursor=${page.nextCursor}`)).status).toBe(400);
    for (const query of ["limit=0", "limit=1001", "sort=count", "x=1"]) {
      expect((await read(`/brands?${query}`)).status).toBe(422);
    }
  });

  test("of a large shop are kept for half a minute and made once for all who ask", async () => {
    let made = 0;
    const counts = createCounts(
      {
        countByCategory: async () => [{ id: "c", count: 30_001 + made++ }],
        countByBrand: async () => [{ key: "b", name: "B", count: 1 + made++ }],
      },
      t.clock,
    );
    const first = await counts.categories();
    t.clock.advance(29_000);
    expect([await counts.categories(), made]).toEqual([first, 1]);
    t.clock.advance(1_000);
    const later = await Promise.all([counts.categories(), counts.categories(), counts.categories()]);
    expect([later.map((one) => one.get("c")), made]).toEqual([[30_002, 30_002, 30_002], 2]);
    expect([(await counts.brands())[0]?.count, (await counts.brands())[0]?.count]).toEqual([3, 4]);
  });

  test("the menu of 84 categories is small", async () => {
    const roots = await Promise.all(
      Array.from({ length: 12 }, () => category({ name: unique("Electronics & more") })),
    );
    for (const root of roots) {
      for (let n = 0; n < 6; n++) await category({ name: unique("Phones"), parentId: root.id });
    }
    const menu = await data<MenuItem[]>(read("/menu"));
    const own = menu.filter(({ id }) => roots.some((root) => root.id === id));
    expect(own.flatMap(({ children = [] }) => children)).toHaveLength(72);
    expect(JSON.stringify(own).length).toBeLessThan(12_000);
    const packed = await t.request("/api/products/menu", { headers: { "accept-encoding": "zstd" } });
    expect((await packed.bytes()).length).toBeLessThan(6_000);
  });
});

describe("a product's slug", () => {
  const follow = async (
    slug: string,
    query = "",
  ): Promise<{ status: number; id?: string; slug?: string; location?: string | null }> => {
    const answer = await read(`/${encodeURIComponent(slug)}${query}`);
    if (answer.status !== 301) return { status: answer.status };
    const { data: moved } = (await answer.json()) as { data: { id: string; slug: string } };
    return { status: 301, ...moved, location: answer.headers.get("location") };
  };

  test("reads it in any spelling; what is not active only for whoever may edit", async () => {
    const product = await made({ name: unique("Ünïque Größe"), price: 1 });
    for (const key of [product.id, product.id.toUpperCase(), product.slug, product.slug.toUpperCase()]) {
      expect((await data<ProductResponse>(read(`/${encodeURIComponent(key)}`))).id).toBe(product.id);
      expect((await read(`/${encodeURIComponent(key)}/images`)).status).toBe(200);
    }
    await send("PATCH", `/${product.slug}`, { status: "draft" });
    expect((await read(`/${product.slug}`)).status).toBe(404);
    expect((await read(`/${product.slug}/images`)).status).toBe(404);
    expect((await send("GET", `/${product.slug}`)).status).toBe(200);
    for (const key of ["nothing-here", "__proto__", "%24ne", "%F0%9F%99%82", "a%2Fb"]) {
      expect([key, (await read(`/${key}`)).status]).toEqual([key, 404]);
    }
  });

  test("that it gave away answers with the present one, as long as the product can be seen", async () => {
    const [a, b, c] = [unique("a"), unique("b"), unique("ü c")].map((name) =>
      name.toLowerCase().replaceAll(" ", "-"),
    );
    const { id } = await made({ name: "Renamed", price: 1, slug: a });
    await send("PATCH", `/${id}`, { slug: b });
    const { slug } = await data<ProductResponse>(send("PATCH", `/${b}`, { slug: c }));
    const location = `/api/products/${encodeURIComponent(slug)}`;
    expect(await follow(a ?? "")).toEqual({ status: 301, id, slug, location });
    expect(await follow(b ?? "", "?include=images")).toEqual({
      status: 301,
      id,
      slug,
      location: `${location}?include=images`,
    });
    expect((await read(location.slice("/api/products".length))).status).toBe(200);
    await send("PATCH", `/${id}`, { status: "archived" });
    expect(await follow(a ?? "")).toEqual({ status: 404 });
    const shown = await send("GET", `/${a}`);
    expect([shown.status, shown.headers.get("location")]).toEqual([301, location]);
    await send("PATCH", `/${id}`, { status: "active" });
    await send("DELETE", `/${id}`);
    for (const gone of [a, b, slug]) expect(await follow(gone ?? "")).toEqual({ status: 404 });
    await send("POST", `/${id}/restore`);
    expect(await follow(a ?? "")).toMatchObject({ status: 301, slug });
    expect(await follow(slug)).toEqual({ status: 200 });
    // Back to a slug that it had: it is the present one again, and no circle.
    await send("PATCH", `/${id}`, { slug: a });
    expect(await follow(a ?? "")).toEqual({ status: 200 });
    expect(await follow(slug)).toMatchObject({ status: 301, slug: a });
  });

  test("that another has taken is the other's, and belongs to whoever had it last", async () => {
    const taken = unique("taken").replaceAll(" ", "-");
    const first = await made({ name: "First", price: 1, slug: taken });
    await send("PATCH", `/${first.id}`, { slug: `${taken}-1` });
    expect(await follow(taken)).toMatchObject({ status: 301, id: first.id });
    const second = await made({ name: "Second", price: 1, slug: taken });
    expect((await data<ProductResponse>(read(`/${taken}`))).id).toBe(second.id);
    await send("PATCH", `/${second.id}`, { slug: `${taken}-2` });
    expect(await follow(taken)).toMatchObject({ status: 301, id: second.id, slug: `${taken}-2` });
    await send("DELETE", `/${second.id}`);
    expect(await follow(taken)).toEqual({ status: 404 });
  });

  test("is never lost nor anybody else's when many rename at the same moment", async () => {
    const word = unique("race").replaceAll(" ", "-");
    const slugs = Array.from({ length: 4 }, (_, index) => `${word}-${index}`);
    const products = await Promise.all(slugs.map((slug) => made({ name: slug, price: 1, slug })));
    const held = new Map<string, Set<string>>(
      slugs.map((slug, index) => [slug, new Set([products[index]?.id ?? ""])]),
    );
    for (let round = 0; round < 6; round++) {
      await Promise.all(
        products.map(async ({ id }, index) => {
          const slug =
            (index + round) % 3 === 0
              ? `${word}-free-${round}-${index}`
              : slugs[(index + round) % slugs.length];
          const answer = await send("PATCH", `/${id}`, { slug });
          expect([200, 409]).toContain(answer.status);
          if (answer.status === 200) held.set(slug ?? "", (held.get(slug ?? "") ?? new Set()).add(id));
        }),
      );
      for (const [slug, owners] of held) {
        const answer = await follow(slug);
        const living = await t.deps.products.findBySlug(slug);
        if (living) expect([slug, answer.status]).toEqual([slug, 200]);
        else {
          expect([slug, answer.status]).toEqual([slug, 301]);
          expect(owners).toContain(answer.id ?? "");
        }
      }
    }
  });

  test("that an import changes is kept as well", async () => {
    const word = unique("import").replaceAll(" ", "-");
    const sku = unique("IMP");
    const { id } = await made({ name: "Imported", slug: word, variants: [{ sku, price: 100 }] });
    const job = await t.request("/api/products/import?allowRename=true", {
      method: "POST",
      token: (await t.signIn({ roles: ["admin"] })).accessToken,
      headers: { "content-type": "application/x-ndjson" },
      body: `${JSON.stringify({ sku, slug: `${word}-new` })}\n`,
    });
    expect(job.status).toBe(202);
    await t.runner.runDue();
    expect(await follow(word)).toMatchObject({ status: 301, id, slug: `${word}-new` });
  });

  test("is no address of the API: a given one is refused, a name gets another, one of before still works", async () => {
    for (const slug of ["search", "Categories", "018f3b1e-0000-7000-8000-000000000000"]) {
      expect((await send("POST", "", { name: "x", price: 1, slug })).status).toBe(422);
    }
    const product = await made({ name: "Search", price: 1 });
    expect(product.slug).toMatch(/^search-[0-9a-f]{6}$/);
    await productModel(t.deps.mongo.connection).updateOne(
      { _id: product.id },
      { $set: { slug: "import", slugKey: "import" } },
    );
    const changed = await data<ProductResponse>(send("PATCH", `/${product.id}`, { name: "Still" }));
    expect(changed.slug).toBe("import");
  });
});

describe("addresses", () => {
  test("of the API itself are no product's", () => {
    const literal = t.app.routes.flatMap(({ path }) => /^\/api\/products\/([^/:*{]+)/.exec(path)?.[1] ?? []);
    expect(literal).toContain("search");
    expect([...new Set(literal)].filter((word) => !isReserved(word))).toEqual([]);
  });
});

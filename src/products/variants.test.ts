import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;
let count = 0;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

const unique = (text: string) => `${text}-${++count}`;

async function send(method: string, path: string, json?: unknown, headers: Record<string, string> = {}) {
  const response = await t.request(`/api/products${path}`, {
    method,
    token: manager.accessToken,
    json,
    headers,
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, refusals too.
  const body = (await response.json().catch(() => null)) as any;
  return { status: response.status, body, data: body?.data, etag: response.headers.get("etag") };
}

interface Given {
  sku: string;
  price: number;
  id?: string;
  options?: { name: string; value: string }[];
}

async function made(...variants: Given[]) {
  const { status, data } = await send("POST", "", { name: unique("Shirt"), variants });
  expect(status).toBe(201);
  return data;
}

const size = (value: string) => [{ name: "Size", value }];
const add = (sku: string, delta: number) =>
  stock.post("/adjust", { sku, locationId: stock.locationId, delta, kind: "receive", reason: "x" });

describe("a variant keeps its id", () => {
  test("also when PATCH and PUT change its SKU, its place and everything else", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({ sku: a, price: 1 }, { sku: b, price: 2 });
    const [first, second] = product.variants;
    const patched = await send("PATCH", `/${product.id}`, {
      variants: [
        { id: second.id, sku: unique("B2"), price: 3, name: "Blue" },
        { id: first.id, sku: a, price: 1 },
      ],
    });
    expect(patched.data.variants.map((variant: { id: string }) => variant.id)).toEqual([second.id, first.id]);
    const put = await send(
      "PUT",
      `/${product.id}`,
      {
        name: "Shirt",
        variants: [
          { id: first.id, sku: unique("A2"), price: 9 },
          { sku: b, price: 2 },
        ],
      },
      { "if-match": patched.etag ?? "" },
    );
    expect(put.data.variants[0].id).toBe(first.id);
    expect(put.data.variants[1].id).not.toBe(second.id);
  });

  test("without an id, the one of this SKU is meant, unless another says that it is it", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({ sku: a, price: 1 }, { sku: b, price: 2 });
    const [first, second] = product.variants;
    const { data } = await send("PATCH", `/${product.id}`, {
      variants: [
        { sku: a.toLowerCase(), price: 1 },
        { id: first.id, sku: b, price: 2 },
      ],
    });
    // The first took the SKU of the second, whose own id nobody named.
    expect(data.variants[1].id).toBe(first.id);
    expect([first.id, second.id]).not.toContain(data.variants[0].id);
  });

  test.each([
    [
      "of no variant of the product",
      (ids: string[]) => [{ id: crypto.randomUUID() }, { id: ids[1] }],
      "not_found",
      0,
    ],
    ["that is there twice", (ids: string[]) => [{ id: ids[0] }, { id: ids[0] }], "duplicate", 1],
    ["that is no id", (ids: string[]) => [{ id: "x" }, { id: ids[1] }], "invalid_format", 0],
  ] as const)("an id %s is 422", async (_, ids, code, place) => {
    const product = await made({ sku: unique("A"), price: 1 }, { sku: unique("B"), price: 2 });
    const given = ids(product.variants.map((variant: { id: string }) => variant.id));
    const variants = given.map((id) => ({ ...id, sku: unique("N"), price: 1 }));
    const { status, body } = await send("PATCH", `/${product.id}`, { variants });
    expect([status, body.errors[0].path, body.errors[0].code]).toEqual([422, `variants.${place}.id`, code]);
  });
});

describe("another SKU takes along", () => {
  test("stock, reservations and history, which agree afterwards", async () => {
    const [old, neu] = [unique("Wrong"), unique("Right")];
    const product = await made({ sku: old, price: 1 });
    const other = await stock.location();
    await add(old, 10);
    await stock.post("/transfers", {
      fromLocationId: stock.locationId,
      toLocationId: other,
      lines: [{ sku: old, quantity: 3 }],
    });
    const [kept, committed] = [
      (await stock.reserve([{ sku: old, quantity: 2 }])).data,
      (await stock.reserve([{ sku: old, quantity: 1 }])).data,
    ];
    const path = `/${product.id}/variants/${product.variants[0].id}`;
    const renamed = await send("PATCH", path, { sku: neu });
    expect(renamed).toMatchObject({
      status: 200,
      data: { id: product.variants[0].id, sku: neu, version: 2 },
    });
    expect(await stock.level(old)).toBeUndefined();
    expect(await stock.level(neu)).toMatchObject({ sku: neu, onHand: 7, reserved: 3 });
    expect(await stock.level(neu, other)).toMatchObject({ onHand: 3 });
    expect((await stock.get(`/reservations/${kept.id}`)).data.lines[0].sku).toBe(neu);
    expect((await stock.post(`/reservations/${committed.id}/commit`)).status).toBe(200);
    expect((await stock.post(`/reservations/${kept.id}/release`)).status).toBe(200);
    const history = async (query: string) => {
      const kinds: string[] = [];
      for (let cursor = ""; ; ) {
        const { data, body } = await stock.get(`/movements?sku=${neu}&limit=2${query}${cursor}`);
        kinds.push(...data.map((movement: { kind: string }) => movement.kind));
        if (!body.page.hasMore) return kinds.reverse();
        cursor = `&cursor=${body.page.nextCursor}`;
      }
    };
    expect(await history("")).toEqual([
      "receive",
      "transfer",
      "transfer",
      "reserve",
      "reserve",
      "sell",
      "release",
    ]);
    expect(await history(`&locationId=${other}`)).toEqual(["transfer"]);
    await t.keeper.round();
    expect((await send("GET", `/${product.id}?include=stock`)).data).toMatchObject({
      inStock: true,
      stock: [{ sku: neu, available: 9 }],
    });
    expect(await stock.differences()).toEqual([]);
    // The old SKU is free, and what is done under it is another's history.
    const heir = await made({ sku: old, price: 1 });
    await add(old, 5);
    expect((await history("")).length).toBe(7);
    expect((await send("GET", `/${heir.id}/inventory`)).data.variants[0].onHand).toBe(5);
    expect(await stock.differences()).toEqual([]);
  });

  test("two variants that change SKUs with each other change stock as well", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({ sku: a, price: 1 }, { sku: b, price: 1 });
    await add(a, 1);
    await add(b, 2);
    const [first, second] = product.variants;
    const { status } = await send("PATCH", `/${product.id}`, {
      variants: [
        { id: first.id, sku: b, price: 1 },
        { id: second.id, sku: a, price: 1 },
      ],
    });
    expect(status).toBe(200);
    expect([(await stock.level(a)).onHand, (await stock.level(b)).onHand]).toEqual([2, 1]);
    expect(await stock.differences()).toEqual([]);
  });

  test("a spelling alone stays the same stock", async () => {
    const sku = unique("spell");
    const product = await made({ sku, price: 1 });
    await add(sku, 4);
    const path = `/${product.id}/variants/${product.variants[0].id}`;
    expect((await send("PATCH", path, { sku: sku.toUpperCase() })).status).toBe(200);
    expect(await stock.level(sku)).toMatchObject({ sku: sku.toUpperCase(), onHand: 4 });
  });

  test("nothing when stock of another lies under the SKU: 409, and all stays", async () => {
    const [a, orphan] = [unique("A"), unique("Orphan")];
    const gone = await made({ sku: orphan, price: 1 });
    await add(orphan, 1);
    await send("DELETE", `/${gone.id}`);
    const product = await made({ sku: a, price: 1 });
    await add(a, 5);
    const answer = await send("PATCH", `/${product.id}/variants/${product.variants[0].id}`, { sku: orphan });
    expect([answer.status, answer.body.code, answer.body.sku]).toEqual([409, "conflict", orphan]);
    expect((await stock.level(a)).onHand).toBe(5);
    expect((await send("GET", `/${product.id}`)).data.version).toBe(1);
  });

  test("its place, where a product that is gone left the SKU without stock", async () => {
    const [a, sold] = [unique("A"), unique("Sold")];
    const gone = await made({ sku: sold, price: 1 });
    await add(sold, 1);
    const { data: reservation } = await stock.reserve([{ sku: sold, quantity: 1 }]);
    expect((await stock.post(`/reservations/${reservation.id}/commit`)).status).toBe(200);
    await send("DELETE", `/${gone.id}`);
    const product = await made({ sku: a, price: 1 });
    await add(a, 5);
    const path = `/${product.id}/variants/${product.variants[0].id}`;
    expect((await send("PATCH", path, { sku: sold })).status).toBe(200);
    expect(await stock.level(sold)).toMatchObject({ sku: sold, onHand: 5 });
    const { data: own } = await stock.get(`/movements?sku=${sold}`);
    expect(own.map(({ kind }: { kind: string }) => kind)).toEqual(["receive"]);
    expect((await stock.get(`/movements?reservationId=${reservation.id}`)).data).toHaveLength(2);
    expect(await stock.differences()).toEqual([]);
  });

  test("every sale, however many are made while it is renamed", async () => {
    const [a, b] = [unique("Hot"), unique("Hotter")];
    const product = await made({ sku: a, price: 1 });
    await add(a, 40);
    const path = `/${product.id}/variants/${product.variants[0].id}`;
    const sell = async () => {
      let sold = 0;
      for (let n = 0; n < 5; n++) {
        for (const sku of [a, b]) {
          const got = await stock.reserve([{ sku, quantity: 1 }]);
          if (got.status !== 201) continue;
          const done = await stock.post(`/reservations/${got.data.id}/commit`);
          expect(done.status).toBe(200);
          sold++;
        }
      }
      return sold;
    };
    const [renamed, ...sold] = await Promise.all([send("PATCH", path, { sku: b }), sell(), sell(), sell()]);
    expect(renamed.status).toBe(200);
    const total = sold.reduce((sum, one) => sum + one, 0);
    expect(await stock.level(b)).toMatchObject({ onHand: 40 - total, reserved: 0 });
    expect(await stock.level(a)).toBeUndefined();
    expect(await stock.differences()).toEqual([]);
  });
});

describe("a variant with stock", () => {
  test("is not forgotten by PUT, PATCH or DELETE unless they say so", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({ sku: a, price: 1 }, { sku: b, price: 1 });
    await add(b, 1);
    const [first, second] = product.variants;
    const rest = { variants: [{ id: first.id, sku: a, price: 1 }] };
    const refused = [
      await send("PUT", `/${product.id}`, { name: "x", ...rest }, { "if-match": '"v1"' }),
      await send("PATCH", `/${product.id}`, rest),
      await send("DELETE", `/${product.id}/variants/${second.id}`),
    ];
    for (const { status, body } of refused)
      expect([status, body.code, body.sku]).toEqual([409, "conflict", b]);
    expect((await send("GET", `/${product.id}`)).data.version).toBe(1);
    const put = await send(
      "PUT",
      `/${product.id}?leaveStock=true`,
      { name: "x", ...rest },
      { "if-match": '"v1"' },
    );
    expect(put.data.variants).toHaveLength(1);
    expect((await stock.level(b)).onHand).toBe(1);
  });

  test("that is empty again goes without a word", async () => {
    const [a, b] = [unique("A"), unique("B")];
    const product = await made({ sku: a, price: 1 }, { sku: b, price: 1 });
    await add(b, 1);
    await add(b, -1);
    const adjusted = await stock.post("/adjust", {
      sku: b,
      locationId: stock.locationId,
      delta: -1,
      reason: "x",
    });
    expect(adjusted.status).toBe(200);
    expect((await send("DELETE", `/${product.id}/variants/${product.variants[1].id}`)).status).toBe(204);
  });
});

describe("variants of their own", () => {
  test("are added, changed and taken away, with the product's version", async () => {
    const product = await made({ sku: unique("A"), price: 1, options: size("S") });
    const sku = unique("B");
    const key = unique("key");
    const input = { sku, price: 500, compareAtPrice: 600, options: size("M") };
    const added = await send("POST", `/${product.slug}/variants`, input, { "idempotency-key": key });
    expect(added).toMatchObject({
      status: 201,
      data: { sku, productId: product.id, version: 2, options: size("M") },
    });
    const again = await send("POST", `/${product.slug}/variants`, input, { "idempotency-key": key });
    expect(again.data).toEqual(added.data);
    const path = `/${product.id}/variants/${added.data.id}`;
    expect((await send("PATCH", path, { price: 1 }, { "if-match": '"v1"' })).status).toBe(412);
    const changed = await send("PATCH", path, { price: 450, compareAtPrice: null }, { "if-match": '"v2"' });
    expect(changed).toMatchObject({
      etag: '"v3"',
      data: { id: added.data.id, sku, price: { amount: 450 }, compareAtPrice: null, options: size("M") },
    });
    expect((await send("DELETE", path)).status).toBe(204);
    expect((await send("DELETE", path)).status).toBe(404);
    const last = await send("DELETE", `/${product.id}/variants/${product.variants[0].id}`);
    expect([last.status, last.body.code]).toEqual([409, "conflict"]);
  });

  test("keep their currency's prices: another one needs them all", async () => {
    const product = await made({ sku: unique("A"), price: 1000 });
    const path = `/${product.id}/variants/${product.variants[0].id}`;
    await send("PATCH", path, { compareAtPrice: 2000 });
    const faults = async (json: unknown) => (await send("PATCH", path, json)).body.errors?.[0].path;
    expect(await faults({ currency: "JPY" })).toBe("price");
    expect(await faults({ currency: "JPY", price: 100 })).toBe("compareAtPrice");
    const { data } = await send("PATCH", path, { currency: "JPY", price: 100, compareAtPrice: 200 });
    expect(data.compareAtPrice).toEqual({ amount: 200, currency: "JPY" });
  });

  test("changes of different variants at the same moment all come through", async () => {
    const product = await made(...["A", "B", "C"].map((sku) => ({ sku: unique(sku), price: 1 })));
    const answers = await Promise.all(
      product.variants.map((variant: { id: string }, index: number) =>
        send("PATCH", `/${product.id}/variants/${variant.id}`, { price: 100 + index }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const { data } = await send("GET", `/${product.id}`);
    expect(data.variants.map((variant: { price: { amount: number } }) => variant.price.amount)).toEqual([
      100, 101, 102,
    ]);
  });
});

describe("options tell variants apart", () => {
  const red = [
    { name: "Size", value: "M" },
    { name: "Colour", value: "Red" },
  ];
  const same = [
    { name: "colour", value: "RED" },
    { name: "SIZE", value: " m " },
  ];

  test("two variants with the same ones are 422, in any order and spelling, however they come", async () => {
    const variants = [
      { sku: unique("A"), price: 1, options: red },
      { sku: unique("B"), price: 1, options: same },
    ];
    const created = await send("POST", "", { name: "x", variants });
    const product = await made({ sku: unique("C"), price: 1, options: red });
    const patched = await send("PATCH", `/${product.id}`, { variants });
    for (const { status, body } of [created, patched]) {
      expect([status, body.errors[0].path, body.errors[0].code]).toEqual([
        422,
        "variants.1.options",
        "duplicate",
      ]);
    }
    const added = await send("POST", `/${product.id}/variants`, {
      sku: unique("D"),
      price: 1,
      options: same,
    });
    expect([added.status, added.body.errors[0].path]).toEqual([422, "options"]);
  });

  test("one option twice is 422", async () => {
    const options = [...size("M"), { name: "size", value: "L" }];
    const { status, body } = await send("POST", "", {
      name: "x",
      variants: [{ sku: unique("A"), price: 1, options }],
    });
    expect([status, body.errors[0].path, body.errors[0].code]).toEqual([
      422,
      "variants.0.options",
      "duplicate",
    ]);
  });
});

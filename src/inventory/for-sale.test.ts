import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

const productOf = async (sku: string) => {
  const product = await t.deps.products.findBySku(sku.toLowerCase());
  if (!product) throw new Error(`no product has ${sku}`);
  return product;
};

const change = async (sku: string, method: "PATCH" | "DELETE", json?: unknown): Promise<string> => {
  const { _id: id } = await productOf(sku);
  const path = `/api/products/${id}`;
  const answer = await t.request(path, { method, token: manager.accessToken, json });
  expect([200, 204]).toContain(answer.status);
  return id;
};

/** Everything that says whether a SKU can be had, side by side. */
async function told(id: string) {
  const read = async (path: string) =>
    // biome-ignore lint/suspicious/noExplicitAny: answers of several routes.
    ((await (await t.request(path, { token: manager.accessToken })).json()) as any).data;
  await t.keeper.round();
  const product = await read(`/api/products/${id}?include=stock`);
  const inventory = await read(`/api/products/${id}/inventory`);
  const query = `filter[id]=${id}&filter[status]=${product.status}&include=stock`;
  const [listed] = await read(`/api/products?${query}`);
  return {
    inStock: [product.inStock, inventory.inStock, listed.inStock, product.stock[0].inStock],
    available: [
      product.stock[0].available,
      listed.stock[0].available,
      inventory.variants[0].available,
    ] as number[],
  };
}

/** The most that one reservation gets. */
async function mostOf(sku: string): Promise<number> {
  const refused = await stock.reserve([{ sku, quantity: 1_000_000 }]);
  expect(refused.status).toBe(409);
  const { available } = refused.body;
  if (available > 0) {
    const got = await stock.reserve([{ sku, quantity: available }]);
    expect(got.status).toBe(201);
    await stock.post(`/reservations/${got.data.id}/release`);
  }
  return available;
}

describe("stock tells one story", () => {
  const oneStory = async (sku: string, id: string, available: number) => {
    expect(await told(id)).toEqual({
      inStock: Array(4).fill(available > 0),
      available: Array(3).fill(available),
    });
    expect(await mostOf(sku)).toBe(available);
  };

  test("what lies at an inactive location counts nowhere", async () => {
    const closed = await stock.location();
    const sku = await stock.sku(7, closed);
    await stock.patch(`/locations/${closed}`, { active: false }, 1);
    await oneStory(sku, (await productOf(sku))._id, 0);
    await stock.patch(`/locations/${closed}`, { active: true }, 2);
    await oneStory(sku, (await productOf(sku))._id, 7);
  });

  test("what one location owes takes nothing from what another has", async () => {
    const [owing, other] = [await stock.location(1), await stock.location(2)];
    const sku = await stock.sku(1, owing);
    await stock.patch(`/levels/${(await stock.level(sku, owing)).id}`, { backorder: "allow" }, 1);
    const promised = await stock.reserve([{ sku, quantity: 4, locationId: owing }]);
    expect(promised.status).toBe(201);
    await stock.patch(`/levels/${(await stock.level(sku, owing)).id}`, { backorder: "deny" }, '"v2"');
    await stock.post("/adjust", { sku, locationId: other, delta: 2, kind: "receive", reason: "x" });
    expect((await stock.level(sku, owing)).available).toBe(-3);
    await oneStory(sku, (await productOf(sku))._id, 2);
  });

  test.each(["draft", "archived"])(
    "a product that is %s has nothing to sell, until it is active",
    async (status) => {
      const sku = await stock.sku(5);
      const held = await stock.reserve([{ sku, quantity: 2 }]);
      const id = await change(sku, "PATCH", { status });
      await oneStory(sku, id, 0);
      // What was promised before can still be handed over.
      expect((await stock.post(`/reservations/${held.data.id}/commit`)).status).toBe(200);
      await change(sku, "PATCH", { status: "active" });
      await oneStory(sku, id, 3);
    },
  );

  test("backorders too are promises of what is sold", async () => {
    const sku = await stock.sku(1);
    await stock.patch(`/levels/${(await stock.level(sku)).id}`, { backorder: "allow" }, 1);
    await change(sku, "PATCH", { status: "archived" });
    const answer = await stock.reserve([{ sku, quantity: 1 }]);
    expect([answer.status, answer.body.code, answer.body.sku, answer.body.available]).toEqual([
      409,
      "insufficient_stock",
      sku,
      0,
    ]);
  });

  test("what was deleted, and a SKU that no product has any more, is not reserved", async () => {
    const [deleted, renamed, kept] = [await stock.sku(3), await stock.sku(3), await stock.sku(3)];
    await change(deleted, "DELETE");
    const { _id: id, variants } = await productOf(renamed);
    const answer = await t.request(`/api/products/${id}?leaveStock=true`, {
      method: "PATCH",
      token: manager.accessToken,
      json: { variants: [{ sku: `${variants[0]?.sku}-new`, price: 1 }] },
    });
    expect(answer.status).toBe(200);
    for (const sku of [deleted, renamed]) {
      expect(
        (
          await stock.reserve([
            { sku: kept, quantity: 1 },
            { sku, quantity: 1 },
          ])
        ).status,
      ).toBe(409);
    }
    expect(await stock.level(kept)).toMatchObject({ reserved: 0 });
  });

  test("the list of low stock and its mails leave out what is not sold", async () => {
    const closed = await stock.location();
    const [sold, archived, deleted, elsewhere] = [
      await stock.sku(1),
      await stock.sku(1),
      await stock.sku(1),
      await stock.sku(1, closed),
    ];
    const all = [sold, archived, deleted, elsewhere];
    for (const sku of all) {
      const { id } = await stock.level(sku, sku === elsewhere ? closed : stock.locationId);
      await stock.patch(`/levels/${id}`, { safetyThreshold: 5 }, 1);
    }
    await change(archived, "PATCH", { status: "archived" });
    await change(deleted, "DELETE");
    await stock.patch(`/locations/${closed}`, { active: false }, 1);
    const listed: string[] = [];
    for (let cursor = ""; ; ) {
      const { data, body } = await stock.get(`/low-stock?limit=1${cursor}`);
      listed.push(...data.map((level: { sku: string }) => level.sku));
      if (!body.page.hasMore) break;
      cursor = `&cursor=${body.page.nextCursor}`;
    }
    expect(listed.filter((sku) => all.includes(sku))).toEqual([sold]);
    await t.runner.runDue();
    const mailed = all.filter((sku) => t.mails.some(({ subject }) => subject.includes(sku)));
    expect(mailed).toEqual([sold]);
  });

  test("an archived product is listed as not in stock, whatever lies in the warehouse", async () => {
    const sku = await stock.sku(4);
    const id = await change(sku, "PATCH", { status: "archived" });
    const listed = async (inStock: boolean) => {
      const path = `/api/products?filter[id]=${id}&filter[status]=archived&filter[inStock]=${inStock}`;
      const answer = await t.request(path, { token: manager.accessToken });
      return ((await answer.json()) as { data: { id: string }[] }).data.map((item) => item.id);
    };
    expect([await listed(true), await listed(false)]).toEqual([[], [id]]);
  });
});

describe("locations", () => {
  test("no more than 200, however many are made at once", async () => {
    const now = t.clock.now();
    const present = (await t.deps.inventory.listLocations()).length;
    await t.deps.mongo.connection.collection<{ _id: string }>("stockLocations").insertMany(
      Array.from({ length: 198 - present }, (_, index) => ({
        _id: t.deps.random.id(),
        code: `Full-${index}`,
        codeKey: `full-${index}`,
        name: "Full",
        priority: 1,
        active: false,
        levelCount: 0,
        version: 1,
        createdAt: now,
        updatedAt: now,
      })),
    );
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        stock.post("/locations", { code: `Last-${index}`, name: "Last" }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409, 409]);
    expect((await t.deps.inventory.listLocations()).length).toBe(200);
  });
});

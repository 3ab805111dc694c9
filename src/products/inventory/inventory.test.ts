import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { createStock, type TestStock } from "../../../test/stock";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
}, 30_000);

describe("reservations", () => {
  test("hold stock, and each end happens once", async () => {
    const sku = await stock.sku(10);
    const made = await stock.reserve([{ sku, quantity: 4 }]);
    expect(made.status).toBe(201);
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: 4, available: 6 });
    const { id } = made.data;
    expect((await stock.post(`/reservations/${id}/commit`)).status).toBe(200);
    expect(await stock.level(sku)).toMatchObject({ onHand: 6, reserved: 0, available: 6 });
    for (const end of ["commit", "release"]) {
      const again = await stock.post(`/reservations/${id}/${end}`);
      expect([again.status, again.body.reservationStatus]).toEqual([409, "committed"]);
    }
    expect(await stock.level(sku)).toMatchObject({ onHand: 6, reserved: 0, available: 6 });
    expect(await stock.differences()).toEqual([]);
  });

  test("the same SKU twice in one request: 6 + 6 of 10 is 409 and nothing is reserved", async () => {
    const sku = await stock.sku(10);
    const answer = await stock.reserve([
      { sku, quantity: 6 },
      { sku, quantity: 6 },
    ]);
    expect([answer.status, answer.body.code]).toEqual([409, "insufficient_stock"]);
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, available: 10, sequence: 1 });
  });

  test("three lines, the third short: none reserved", async () => {
    const skus = [await stock.sku(10), await stock.sku(10), await stock.sku(1)];
    const answer = await stock.reserve(skus.map((sku) => ({ sku, quantity: 2 })));
    expect([answer.status, answer.body.sku]).toEqual([409, skus[2]]);
    for (const sku of skus) expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 1 });
  });
});

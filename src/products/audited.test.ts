import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

async function send(method: string, path: string, json?: unknown, headers: Record<string, string> = {}) {
  const response = await t.request(`/api/products${path}`, {
    method,
    token: manager.accessToken,
    json,
    headers: { "user-agent": "office", ...headers },
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, refusals too.
  return { status: response.status, data: ((await response.json().catch(() => null)) as any)?.data };
}

/** What the audit log says of a product, the oldest first. */
async function entriesOf(id: string) {
  await t.runner.runDue();
  const rows = await t.deps.mysql.on().auditEntry.findMany({ where: { action: { startsWith: "product." } } });
  return rows
    .map(({ action, actorId, userAgent, detail, id: entryId }) => ({
      action,
      actorId,
      userAgent,
      detail,
      entryId,
    }))
    .filter(({ detail }) => (detail as { id: string }).id === id)
    .sort((a, b) => (a.entryId < b.entryId ? -1 : 1))
    .map(({ entryId: _, ...entry }) => entry);
}
const entry = (action: string, detail: object) => ({
  action: `product.${action}`,
  actorId: manager.id,
  userAgent: "office",
  detail: expect.objectContaining(detail),
});

describe("the audit log says who changed a product", () => {
  test("and which price, from what to what", async () => {
    const { data } = await send("POST", "", {
      name: "Lamp",
      variants: [
        { sku: "L-1", price: 1000 },
        { sku: "L-2", price: 2000 },
      ],
    });
    const [first, second] = data.variants;
    await send("PATCH", `/${data.id}/variants/${second.id}`, { price: 2500 });
    await send("PATCH", `/${data.id}`, { name: "Lamp, new", brand: "Fjell" });
    await send("DELETE", `/${data.id}/variants/${first.id}`);
    await send("DELETE", `/${data.id}`);
    await send("POST", `/${data.id}/restore`);
    const price = {
      sku: "L-2",
      from: { amount: 2000, currency: "USD" },
      to: { amount: 2500, currency: "USD" },
    };
    expect(await entriesOf(data.id)).toEqual([
      entry("created", { name: "Lamp" }),
      entry("changed", { fields: [], prices: [price] }),
      entry("changed", { name: "Lamp, new", fields: ["name", "brand"] }),
      entry("changed", { fields: ["variants"] }),
      entry("deleted", {}),
      entry("restored", {}),
    ]);
  });

  test("once for a request that is repeated, never for one that is refused or stale", async () => {
    const key = { "idempotency-key": "audited-1" };
    const { data } = await send("POST", "", { name: "Desk", price: 1 }, key);
    await send("POST", "", { name: "Desk", price: 1 }, key);
    expect((await send("PATCH", `/${data.id}`, { price: 2 }, { "if-match": '"v9"' })).status).toBe(412);
    expect((await send("PATCH", `/${data.id}`, { price: -1 })).status).toBe(422);
    expect(await entriesOf(data.id)).toEqual([entry("created", { name: "Desk" })]);
  });

  test("also from a program whose name is longer than the log keeps", async () => {
    const { data } = await send("POST", "", { name: "Shelf", price: 1 }, { "user-agent": "a".repeat(2000) });
    expect(await entriesOf(data.id)).toMatchObject([
      { action: "product.created", userAgent: "a".repeat(500) },
    ]);
  });

  test("of many changes at once each that was made, and only those", async () => {
    const { data } = await send("POST", "", { name: "Chair", price: 1 });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, number) => send("PATCH", `/${data.id}`, { price: 10 + number })),
    );
    const made = answers.filter(({ status }) => status === 200).length;
    const changes = (await entriesOf(data.id)).filter(({ action }) => action === "product.changed");
    expect(changes).toHaveLength(made);
    // Each begins where the one before ended, so that a price can be followed.
    const amounts = changes.map(({ detail }) => {
      const [{ from, to }] = (
        detail as unknown as { prices: [{ from: { amount: number }; to: { amount: number } }] }
      ).prices;
      return [from.amount, to.amount] as const;
    });
    const next = new Map(amounts);
    let price = 1;
    for (let step = 0; step < made; step++) price = next.get(price) ?? Number.NaN;
    expect(price).toBe((await send("GET", `/${data.id}`)).data.price.amount);
  });
});

/** Products that many callers make at once: in few transactions, each with its own outcome, entry and answer. */
import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { insist, type SignedInPerson, useTestApp } from "../../test/app";
import { createStock } from "../../test/stock";
import { settleSignals } from "../inventory/in-stock";
import { canonicalKey } from "../lib/text";
import type { ProductResponse } from "./answers";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

const create = (json: object, headers: Record<string, string> = {}) =>
  t.request("/api/products", { method: "POST", token: manager.accessToken, json, headers });
const bodyOf = async (answer: Response) => (await answer.json()) as { data: ProductResponse; code?: string };
/** Runs `work` and counts the transactions that it takes. */
async function transactionsOf(work: () => Promise<unknown>): Promise<number> {
  const { transaction } = t.deps.mongo;
  let count = 0;
  t.deps.mongo.transaction = (run) => {
    count++;
    return transaction(run);
  };
  await work().finally(() => {
    t.deps.mongo.transaction = transaction;
  });
  return count;
}

test("of callers at once each SKU has one winner, names find slugs, and what is made has all that belongs to it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uuid(),
      fc.array(fc.record({ sku: fc.nat(12), name: fc.nat(6) }), { minLength: 1, maxLength: 40 }),
      async (run, wanted) => {
        const answers = await Promise.all(
          wanted.map(({ sku, name }, n) =>
            insist(() =>
              create(
                { name: `Thing ${run} ${name}`, variants: [{ sku: `${run}-${sku}`, price: 1 }] },
                { "idempotency-key": `${run}-${n}` },
              ),
            ),
          ),
        );
        const bodies = await Promise.all(answers.map(bodyOf));
        const winners = new Map<string, ProductResponse>();
        for (const [n, answer] of answers.entries()) {
          const { data, code } = bodies[n] as (typeof bodies)[number];
          if (answer.status !== 201) {
            expect([answer.status, code]).toEqual([409, "already_exists"]);
            continue;
          }
          const sku = data.variants[0]?.sku ?? "";
          expect(winners.has(sku)).toBe(false);
          winners.set(sku, data);
          expect(await t.deps.products.findById(data.id)).toMatchObject({ slug: data.slug });
        }
        await t.runner.runDue();
        const recorded = await t.deps.mysql
          .on()
          .auditEntry.findMany({ where: { action: "product.created" } });
        for (const { id, name } of winners.values()) {
          const own = recorded.filter(({ detail }) => (detail as { id: string }).id === id);
          expect(own).toMatchObject([{ actorId: manager.id, detail: { id, name } }]);
        }
        expect(winners.size).toBe(new Set(wanted.map(({ sku }) => sku)).size);
        expect(new Set([...winners.values()].map(({ slug }) => slug)).size).toBe(winners.size);
        // Each is answered again as it was the first time.
        const again = await Promise.all(
          wanted.map(({ sku, name }, n) =>
            create(
              { name: `Thing ${run} ${name}`, variants: [{ sku: `${run}-${sku}`, price: 1 }] },
              { "idempotency-key": `${run}-${n}` },
            ),
          ),
        );
        for (const [n, answer] of again.entries()) {
          expect(answer.status).toBe(answers[n]?.status as number);
          expect((await bodyOf(answer)).data).toEqual(bodies[n]?.data as ProductResponse);
        }
      },
    ),
    { numRuns: 5 },
  );
}, 120_000);

test("32 at once take few transactions; one alone takes one, and a model's refusal stays its own", async () => {
  const mark = crypto.randomUUID();
  const one = (n: number, more: object = {}) => create({ name: `Few ${mark} ${n}`, price: 1, ...more });
  expect(await transactionsOf(() => one(0))).toBe(1);
  const many = await transactionsOf(async () => {
    const answers = await Promise.all(Array.from({ length: 32 }, (_, n) => one(n + 1)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
  });
  expect(many).toBeLessThan(16);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) => one(n + 100, n === 3 ? { slug: `Few ${mark} 0` } : {})),
  );
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 409, 201, 201, 201, 201]);
}, 60_000);

test("products whose SKUs have stock already are in stock, those beside them are not", async () => {
  const stock = await createStock(t, manager);
  const sku = await stock.sku(5);
  const [owner] = await t.deps.products.findBySkus([canonicalKey(sku)]);
  const init = { method: "DELETE", token: manager.accessToken, headers: { "if-match": "*" } };
  expect((await t.request(`/api/products/${owner?._id}`, init)).status).toBe(204);
  const mark = crypto.randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) =>
      create({
        name: `Stocked ${mark} ${n}`,
        status: "active",
        variants: [{ sku: n === 4 ? sku : `${mark}-${n}`, price: 1 }],
      }),
    ),
  );
  const ids = (await Promise.all(answers.map(bodyOf))).map(({ data }) => data.id);
  await settleSignals(t.deps);
  const found = await Promise.all(ids.map((id) => t.deps.products.findById(id)));
  expect(found.map((product) => product?.inStock)).toEqual([false, false, false, false, true, false]);
}, 60_000);

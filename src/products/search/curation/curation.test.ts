import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../../test/app";
import { silentLogger } from "../../../telemetry/log";
import { createDeps } from "../../../wire";
import { searchSchema } from "../schema";
import { searchProducts } from "../search";
import type { RuleResponse, SynonymResponse } from "./schema";

const t = useTestApp();
let manager: SignedInPerson;
let key = 0;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

const send = (method: string, path: string, json?: unknown, headers: Record<string, string> = {}) =>
  t.request(`/api/products/${path}`, { method, json, token: manager.accessToken, headers });
async function create<T = { id: string }>(path: string, json: object): Promise<T> {
  const answer = await send("POST", path, json, { "idempotency-key": `curation-${key++}` });
  if (answer.status !== 201) throw new Error(await answer.text());
  return ((await answer.json()) as { data: T }).data;
}
const product = async (name: string) => (await create("", { name, price: 1000 })).id;
const search = async (q: string, query = "") => {
  const answer = await t.request(`/api/products/search?q=${encodeURIComponent(q)}${query}`);
  return (await answer.json()) as { data: { id: string }[]; search: { redirect: string | null } };
};
const found = async (q: string, query = "") => (await search(q, query)).data.map(({ id }) => id);

describe("synonyms", () => {
  test("of two ways find each other, of one way only from their input; changed and deleted ones at once", async () => {
    const [sofa, settee] = [await product("Quokka sofabed"), await product("Quokka settle bench")];
    const both = await create<SynonymResponse>("search/synonyms", { terms: ["sofabed", "settle bench"] });
    expect((await found("sofabed")).toSorted()).toEqual([sofa, settee].toSorted());
    expect((await found("Settle Bench!")).toSorted()).toEqual([sofa, settee].toSorted());
    const path = `search/synonyms/${both.id}`;
    const stale = await send(
      "PUT",
      path,
      { input: "sofabed", terms: ["settle bench"] },
      { "if-match": '"v9"' },
    );
    expect(stale.status).toBe(412);
    const replaced = await send(
      "PUT",
      path,
      { input: "sofabed", terms: ["settle bench"] },
      { "if-match": '"v1"' },
    );
    expect([replaced.status, replaced.headers.get("etag")]).toEqual([200, '"v2"']);
    expect((await found("sofabed")).toSorted()).toEqual([sofa, settee].toSorted());
    expect(await found("settle bench")).toEqual([settee]);
    expect((await send("DELETE", path)).status).toBe(204);
    expect(await found("sofabed")).toEqual([sofa]);
    expect((await send("GET", path)).status).toBe(404);
  });

  test("refuses what says nothing", async () => {
    for (const body of [
      { terms: [] },
      { terms: ["one"] },
      { terms: ["one", "ONE"] },
      { terms: ["!?", "two"] },
      { terms: ["two"], input: "Two" },
      { terms: ["one", "two"], direction: "both" },
      { terms: Array.from({ length: 21 }, (_, n) => `t${n}`) },
      { terms: [{ $gt: "" }, "two"] },
    ])
      expect([body, (await send("POST", "search/synonyms", body)).status]).toEqual([body, 422]);
  });
});

describe("rules", () => {
  test("pin, hide and redirect one query, whatever its case and signs, on every process at once", async () => {
    const one = await product("Numbat lamp one");
    const two = await product("Numbat lamp two");
    const three = await product("Numbat lamp three");
    const other = await product("Potoroo torch");
    const category = await create<{ id: string; path: string }>("categories", { name: "Numbat lamps" });
    // Another process, which has searched before the rule was made.
    const elsewhere = createDeps(t.deps.config, silentLogger(), { clock: t.deps.clock });
    const foundElsewhere = async () => {
      const { data, search: told } = await searchProducts(
        elsewhere,
        undefined,
        searchSchema.parse({ q: "numbat lamp" }),
      );
      return [data.map(({ id }) => id), told.redirect];
    };
    try {
      await elsewhere.mongo.connection.asPromise();
      expect((await foundElsewhere())[1]).toBeNull();
      const rule = await create<RuleResponse>("search/rules", {
        query: "Numbat lamp",
        pinned: [other, three],
        hidden: [one],
        redirect: category.id,
      });
      const expected = [other, three, two];
      expect(await foundElsewhere()).toEqual([expected, category.path]);
      expect(await found("numbat LAMP!")).toEqual(expected);
      expect(await found("numbat lamps")).not.toContain(other);
      expect((await search("numbat lamp", "&limit=1")).data).toHaveLength(1);
      expect(await found("numbat lamp", "&filter[price][gte]=5000")).toEqual([]);
      const suggested = await t.request("/api/products/search/suggest?q=numbat%20lamp&include=variants");
      const { products } = (
        (await suggested.json()) as { data: { products: { id: string; variants: object[] }[] } }
      ).data;
      expect(products.map(({ id }) => id)).not.toContain(one);
      expect(products[0]?.variants).toHaveLength(1);
      expect((await send("PATCH", `${other}`, { status: "draft" })).status).toBe(200);
      expect(await found("numbat lamp")).toEqual([three, two]);
      expect((await send("DELETE", `categories/${category.id}`)).status).toBe(204);
      expect((await search("numbat lamp")).search.redirect).toBeNull();
      expect((await send("DELETE", `search/rules/${rule.id}`)).status).toBe(204);
      expect((await foundElsewhere())[0]).toEqual(await found("numbat lamp"));
    } finally {
      await elsewhere.close();
    }
  });

  test("a pinned product does not keep a mistyped query from being understood", async () => {
    const [pinned, meant] = [await product("Wallaby kettle"), await product("Cassowary blender")];
    await create("search/rules", { query: "casowary blender", pinned: [pinned] });
    expect(await found("casowary blender")).toEqual([pinned, meant]);
  });

  test("of one query there is one, of many made at once too; refuses what does nothing", async () => {
    const target = await product("Kowari mug");
    const answers = await Promise.all(
      ["kowari mug", "Kowari  Mug", "KOWARI, MUG", "kowari mug."].map((query) =>
        send("POST", "search/rules", { query, pinned: [target] }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409]);
    for (const body of [
      { query: "x" },
      { query: "!!", pinned: [target] },
      { query: "x", pinned: [target], hidden: [target] },
      { query: "x", pinned: [target, target] },
      { query: "x", redirect: "0190a0a0-0000-7000-8000-000000000000" },
      { query: "x", pinned: ["abc"] },
    ])
      expect([body, (await send("POST", "search/rules", body)).status]).toEqual([body, 422]);
  });
});

test("only those who may write products see and change them, and every change is in the audit log", async () => {
  const guest = await t.signIn();
  for (const path of ["search/synonyms", "search/rules", "search/unanswered"]) {
    expect((await t.request(`/api/products/${path}`)).status).toBe(401);
    expect((await t.request(`/api/products/${path}`, { token: guest.accessToken })).status).toBe(403);
  }
  const made = await create<SynonymResponse>("search/synonyms", { terms: ["bilby", "rabbit bandicoot"] });
  await send("DELETE", `search/synonyms/${made.id}`);
  await t.runner.runDue();
  const entries = await t.deps.mysql.on().auditEntry.findMany({
    where: { action: { startsWith: "search_synonym" }, actorId: manager.id },
    orderBy: { at: "asc" },
  });
  const about = entries.filter(({ detail }) => (detail as { id: string }).id === made.id);
  expect(about.map(({ action, detail }) => [action, (detail as { terms: string[] }).terms])).toEqual([
    ["search_synonym.created", ["bilby", "rabbit bandicoot"]],
    ["search_synonym.deleted", ["bilby", "rabbit bandicoot"]],
  ]);
  const list = await send("GET", "search/synonyms?limit=1");
  expect([list.status, (await send("GET", "search/rules?limit=0")).status]).toEqual([200, 422]);
});

test("searches without result are counted, those with a filter are not", async () => {
  for (const q of ["zzyzx road", "Zzyzx  ROAD!", "zzyzx road", "qqxxyy"]) await search(q);
  await search("never with this", "&filter[brand]=nobody");
  const all: { q: string; count: number }[] = [];
  let cursor = "";
  do {
    const answer = await send("GET", `search/unanswered?limit=1${cursor}`);
    const { data, page } = (await answer.json()) as { data: typeof all; page: { nextCursor: string | null } };
    all.push(...data);
    cursor = page.nextCursor === null ? "" : `&cursor=${page.nextCursor}`;
  } while (cursor !== "");
  const told = all.map(({ q, count }) => [q, count]);
  expect(told).toContainEqual(["zzyzx road", 3]);
  expect(told).toContainEqual(["qqxxyy", 1]);
  expect(told.flat()).not.toContain("never with this");
});

import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { silentLogger } from "../../telemetry/log";
import { createDeps } from "../../wire";
import { compact } from "./compact";
import { planRebuild } from "./jobs";
import { type FoundResponse, searchSchema } from "./schema";
import { searchProducts } from "./search";

const t = useTestApp();
let manager: SignedInPerson;
let key = 0;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

interface Answer {
  data: FoundResponse[];
  page: { nextCursor: string | null; hasMore: boolean; total?: { value: number; relation: string } };
  facets?: import("./schema").FacetsResponse;
  search: { id: string; didYouMean: string | null };
}

const post = async <T>(path: string, json: object): Promise<T> => {
  const answer = await t.request(path, {
    method: "POST",
    json,
    token: manager.accessToken,
    headers: { "idempotency-key": `search-${key++}` },
  });
  if (answer.status !== 201) throw new Error(await answer.text());
  return ((await answer.json()) as { data: T }).data;
};
const make = (product: object) =>
  post<{ id: string; slug: string }>(
    "/api/products",
    "variants" in product ? product : { price: 1000, ...product },
  );
const patch = async (id: string, json: object) => {
  const answer = await t.request(`/api/products/${id}`, {
    method: "PATCH",
    json,
    token: manager.accessToken,
  });
  expect(answer.status).toBe(200);
};
const remove = async (id: string) => {
  const answer = await t.request(`/api/products/${id}`, { method: "DELETE", token: manager.accessToken });
  expect(answer.status).toBe(204);
};
const search = async (q: string, query = ""): Promise<Answer> => {
  const answer = await t.request(`/api/products/search?q=${encodeURIComponent(q.toWellFormed())}${query}`);
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Answer;
};
const found = async (q: string, query = ""): Promise<string[]> =>
  (await search(q, query)).data.map(({ id }) => id);
/** Takes what changed into segments, so that a test tries them too. */
const settle = () => compact({ store: t.deps.searchIndex, clock: t.deps.clock, random: t.deps.random }, 1);

describe("what is found", () => {
  for (const [how, done] of [
    ["from changed products", async () => undefined],
    ["from segments", settle],
  ] as const) {
    test(`words, forms, mistakes, models and joined words (${how})`, async () => {
      const name = `Wombat${how.length} Nightlamp 32GB - Micro USB`;
      const { id } = await make({
        name,
        brand: "Fjällräven Ü",
        description: "Shines through the darkest thunderstorm.",
        variants: [
          {
            sku: `WL-${how.length}/9`,
            price: 4200,
            gtin: how.length > 15 ? "4006381333931" : "96385074",
            options: [{ name: "Colour", value: "Aubergine" }],
          },
        ],
        attrs: [{ key: "capacity", value: 10000, unit: "mAh" }],
      });
      await done();
      for (const q of [
        `wombat${how.length}`,
        "nightlamps",
        "nightlmap",
        "night",
        "32 gb nightlamp",
        "nightlamp 32gb",
        "microusb nightlamp",
        "fjallraven",
        "aubergine",
        "10000mah nightlamp",
        "10000 mah nightlamp",
        "thunderstorms",
        '"micro usb" nightlamp',
        `wl-${how.length}/9`,
        `WL${how.length}9`,
        `wl ${how.length} 9`,
        how.length > 15 ? "4006381333931" : "96385074",
      ]) {
        expect([q, await found(q)]).toEqual([q, expect.arrayContaining([id])]);
      }
      for (const q of ['"usb micro"', "nightlamp -aubergine", "nightlamp zzqqxxyy"]) {
        expect([q, await found(q)]).not.toEqual([q, expect.arrayContaining([id])]);
      }
    });
  }
});

describe("what changes", () => {
  test("is found as it is on the next request, and what is not for sale never", async () => {
    const { id } = await make({ name: "Numbat kettle" });
    expect(await found("numbat")).toEqual([id]);
    await settle();
    expect(await found("numbat")).toEqual([id]);
    await patch(id, { name: "Bilby kettle" });
    expect([await found("numbat"), await found("bilby")]).toEqual([[], [id]]);
    await settle();
    expect([await found("numbat"), await found("bilby")]).toEqual([[], [id]]);
    for (const status of ["draft", "archived"]) {
      await patch(id, { status });
      for (const done of [async () => undefined, settle]) {
        await done();
        const answer = await search("bilby", "&count=true");
        expect([answer.data, answer.page.total?.value, answer.facets?.inStock[1]?.count]).toEqual([[], 0, 0]);
        const suggested = await t.request("/api/products/search/suggest?q=bilb");
        const { data } = (await suggested.json()) as { data: { queries: string[]; products: object[] } };
        expect([data.queries, data.products]).toEqual([[], []]);
      }
    }
    await patch(id, { status: "active" });
    expect(await found("bilby")).toEqual([id]);
    await remove(id);
    expect(await found("bilby")).toEqual([]);
    await settle();
    expect(await found("bilby")).toEqual([]);
    const restored = await t.request(`/api/products/${id}/restore`, {
      method: "POST",
      token: manager.accessToken,
      headers: { "idempotency-key": `search-${key++}` },
    });
    expect(restored.status).toBe(200);
    expect(await found("bilby")).toEqual([id]);
  });
});

test("another process finds every change on its next search, whatever it keeps in memory", async () => {
  const elsewhere = createDeps(t.deps.config, silentLogger(), { clock: t.deps.clock });
  const there = async (q: string) => {
    const { data } = await searchProducts(
      elsewhere,
      undefined,
      searchSchema.parse({ q, sort: "-popularity" }),
    );
    return data.map(({ id, inStock }) => [id, inStock]);
  };
  try {
    await elsewhere.mongo.connection.asPromise();
    const [plain, other] = [await make({ name: "Wambenger rug" }), await make({ name: "Wambenger mat" })];
    for (const done of [async () => undefined, settle]) {
      await done();
      // Words and products that it has just found nothing for, or found otherwise.
      expect(await there("kultarr")).toEqual([]);
      expect((await there("wambenger")).map(([id]) => id)).toHaveLength(2);
      await patch(plain.id, { name: "Kultarr rug" });
      expect([await there("kultarr"), await there("wambenger")]).toEqual([
        [[plain.id, false]],
        [[other.id, false]],
      ]);
      expect((await there("kultar")).map(([id]) => id)).toEqual([plain.id]);
      await done();
      await patch(plain.id, { name: "Wambenger rug" });
    }
    await settle();
    await t.deps.search.setPopularity([{ id: other.id, popularity: 7 }]);
    await t.deps.search.refreshPopularity();
    expect((await there("wambenger")).map(([id]) => id)).toEqual([other.id, plain.id]);
    await t.deps.search.setPopularity([{ id: plain.id, popularity: 9 }]);
    await t.deps.search.refreshPopularity();
    expect((await there("wambenger")).map(([id]) => id)).toEqual([plain.id, other.id]);
    await t.deps.search.rebuild(() => undefined);
    expect((await there("wambenger")).map(([id]) => id).toSorted()).toEqual([plain.id, other.id].toSorted());
  } finally {
    await elsewhere.close();
  }
});

describe("any text", () => {
  for (const [name, q, query] of [
    ["a pattern", "(a+)+$", ""],
    ["any character", ".*", ""],
    ["an operator", "$where", ""],
    ["an object", '{"$gt":""}', ""],
    ["emoji", "\u{1f469}\u200d\u{1f467}\u{1f3a7}", ""],
    ["right to left", "\u202e\u0645\u0631\u062d\u0628\u0627", ""],
    ["stop words", "the and for", ""],
    ["one letter", "a", ""],
    ["half a character", "\ud800", ""],
    ["only signs", '--- -"', ""],
    ["two hundred words", "a ".repeat(100), ""],
  ] as const) {
    test(`${name} is an answer`, async () => {
      expect((await search(q, query)).page.hasMore).toBeDefined();
      const suggested = await t.request(
        `/api/products/search/suggest?q=${encodeURIComponent(q.toWellFormed())}`,
      );
      expect(suggested.status).toBe(200);
    });
  }

  test("10 kB, nothing, spaces and an unknown key are 422", async () => {
    for (const query of [
      `q=${"a".repeat(10_000)}`,
      "",
      "q=",
      "q=%20%20",
      "q=a&qq=b",
      "q=a&q=b",
      "q=a&filter[status]=draft",
    ]) {
      expect([query.slice(0, 30), (await t.request(`/api/products/search?${query}`)).status]).toEqual([
        query.slice(0, 30),
        422,
      ]);
    }
  });
});

test("a rebuild runs while products are written, and loses none", async () => {
  const before = await make({ name: "Quoll teapot" });
  let going = true;
  const written: string[] = [];
  const writing = (async () => {
    while (going) written.push((await make({ name: `Quoll cup ${written.length}` })).id);
  })();
  const steps: number[] = [];
  await t.deps.search.rebuild((done) => steps.push(done));
  going = false;
  await writing;
  expect(steps.length).toBeGreaterThan(1);
  expect((await found("quoll", "&limit=100")).toSorted()).toEqual([before.id, ...written].toSorted());
  await settle();
  expect((await found("quolls", "&limit=100")).length).toBe(1 + written.length);
});

test("an index of another version is rebuilt by one process, without a command", async () => {
  const { id } = await make({ name: "Bettong saucer" });
  const { connection } = t.deps.mongo;
  // As after the upgrade from a version that had no index.
  for (const name of ["search_documents", "search_postings", "search_words", "search_index"])
    await connection.collection(name).deleteMany({});
  expect(await found("bettong")).toEqual([]);
  await Promise.all([1, 2, 3].map(() => planRebuild(t.deps)));
  expect(await connection.collection("jobs").countDocuments({ kind: "search.rebuild" })).toBe(1);
  await t.runner.runDue();
  expect(await found("bettong")).toEqual([id]);
  expect(await t.deps.search.isOutdated()).toBe(false);
});

test("products are found by the new name of their category", async () => {
  const category = await post<{ id: string }>("/api/products/categories", { name: "Dunnarts" });
  const { id } = await make({ name: "Plain thing", categoryIds: [category.id] });
  expect(await found("dunnart")).toEqual([id]);
  const answer = await t.request(`/api/products/categories/${category.id}`, {
    method: "PATCH",
    json: { name: "Phascogales" },
    token: manager.accessToken,
  });
  expect(answer.status).toBe(200);
  await t.runner.runDue();
  expect([await found("phascogale"), await found("dunnart")]).toEqual([[id], []]);
});

/** docs/scale.md, held against the models and against what hot requests send. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import type { Document } from "mongodb";
import { withOption } from "./addresses";
import { type SignedInPerson, useTestApp } from "./app";
import { createStock, type TestStock } from "./stock";

// The driver tells of its commands where its address says so.
const t = useTestApp(({ mongodbUri }) => ({
  mongodbUri: withOption(mongodbUri, "monitorCommands", "true"),
}));

const page = await readFile("docs/scale.md", "utf8");
/** The rows of the table under a heading, as texts of its cells. */
const rowsOf = (heading: string): string[][] => {
  const lines = page
    .slice(page.indexOf(`| ${heading} |`))
    .split("\n")
    .slice(2);
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end < 0 ? undefined : end).map((line) => line.split("|").map((cell) => cell.trim()));
};
const names = (cell = "") =>
  [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, inside = ""]) => inside.split(", "));
/** The shard key of each sharded collection. */
const KEYS = new Map(
  rowsOf("collection | shard key").map(([, name, key]) => [names(name)[0] ?? "", names(key)]),
);
const FAN_OUTS = rowsOf("collection | asked by").map(
  ([, name, fields]) => `${names(name)[0]}: ${names(fields)}`,
);

/** The fields that a filter names, also under `$and`; those of alternatives count as none. */
const fieldsOf = (filter: Document): string[] =>
  Object.entries(filter).flatMap(([key, value]) =>
    key === "$and" ? (value as Document[]).flatMap(fieldsOf) : key.startsWith("$") ? [] : [key],
  );

/** The filters of a command; of an insert, the documents. */
function filtersOf(name: string, command: Document): Document[] {
  if (name === "insert") return command.documents;
  if (name === "update") return command.updates.map(({ q }: Document) => q);
  if (name === "delete") return command.deletes.map(({ q }: Document) => q);
  if (name === "aggregate") return [command.pipeline[0]?.$match ?? {}];
  return ["find", "findAndModify", "count", "distinct"].includes(name)
    ? [command.filter ?? command.query ?? {}]
    : [];
}

describe("docs/scale.md", () => {
  /** What was sent, as `collection: fields`, by the request that sent it. */
  const sent = new Map<string, Set<string>>();
  let asking: Set<string>;
  let admin: SignedInPerson;
  let stock: TestStock;

  beforeAll(async () => {
    admin = await t.signIn({ roles: ["admin"] });
    stock = await createStock(t, admin);
    await stock.sku(50);
    await t.runner.runDue();
    t.deps.mongo.connection.getClient().on("commandStarted", ({ commandName, command }) => {
      const collection = command[commandName];
      for (const filter of filtersOf(commandName, command)) asking?.add(`${collection}: ${fieldsOf(filter)}`);
    });
  });

  const hot = async (name: string, work: () => Promise<{ status: number }>) => {
    asking = new Set();
    sent.set(name, asking);
    const { status } = await work();
    expect([name, status < 300]).toEqual([name, true]);
  };

  test("no hot request asks every shard, but for what is said", async () => {
    const { data } = await (await t.request("/api/products?limit=1")).json();
    const [product] = data;
    const sku = product.variants?.[0]?.sku ?? (await stock.sku(50));
    const reads = [
      "",
      `/${product.id}`,
      `/${product.slug}`,
      "/search?q=thing",
      "/search/suggest?q=thi",
      "/categories",
    ];
    for (const path of reads) await hot(`GET ${path}`, () => t.request(`/api/products${path}`));
    await hot("stock of a product", () =>
      t.request(`/api/products/${product.id}/inventory`, { token: admin.accessToken }),
    );
    await hot("levels of a SKU", () => stock.get(`/levels?sku=${sku}`));
    const ids: string[] = [];
    for (const end of ["commit", "release"]) {
      await hot("reserve", async () => {
        const made = await stock.reserve([{ sku, quantity: 1 }], { key: `scale-${end}` });
        ids.push(made.data?.id);
        return made;
      });
      await hot(end, () =>
        stock.post(`/reservations/${ids.at(-1)}/${end}`, {}, { "idempotency-key": `k-${end}` }),
      );
    }
    await hot("read a reservation", () => stock.get(`/reservations/${ids[0]}`));
    const change = { sku, locationId: stock.locationId, delta: 1, kind: "receive", reason: "scale" };
    await hot("adjust", () => stock.post("/adjust", change));
    const event = {
      messageId: crypto.randomUUID(),
      type: "page",
      anonymousId: crypto.randomUUID(),
      timestamp: t.clock.now().toISOString(),
    };
    await hot("events", () =>
      t.request("/api/analytics/events", { method: "POST", json: { batch: [event] } }),
    );
    await hot("report", () => t.request("/api/analytics/reports/overview", { token: admin.accessToken }));

    const fanOuts = new Set<string>();
    for (const command of [...sent.values()].flatMap((all) => [...all])) {
      const [collection = "", list = ""] = command.split(": ");
      const key = KEYS.get(collection);
      // A prefix of the key names the shards; a hashed key is one field.
      if (key !== undefined && !list.split(",").includes(key[0] ?? "")) fanOuts.add(command);
    }
    expect([...fanOuts].sort()).toEqual(FAN_OUTS.sort());
    const seen = new Set([...sent.values()].flatMap((all) => [...all].map((one) => one.split(":")[0] ?? "")));
    expect([...KEYS.keys()].filter((name) => !seen.has(name))).toEqual([]);
  });

  test("each sharded collection is one of ours, and its unique indexes begin with its shard key", async () => {
    for (const [name, key] of KEYS) {
      const indexes = await t.deps.mongo.connection.collection(name).indexes();
      const unique = indexes.filter((index) => index.unique && index.name !== "_id_");
      for (const index of unique) {
        expect([name, Object.keys(index.key).slice(0, key.length)]).toEqual([name, key]);
      }
    }
  });
});

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { SchemaType } from "mongoose";
import { useTestApp } from "../../../test/app";
import { emptyDatabases } from "../../../test/databases";
import { around } from "../../../test/interleave";
import { eventually, startProgram } from "../../../test/processes";
import { settleSignals } from "../../inventory/in-stock";
import { canonicalKey } from "../../lib/text";
import { ensureRoles } from "../../users/roles/ensure";
import { deleteCategory } from "../categories/delete";
import { mergeCategory } from "../categories/merge";
import { moveCategory } from "../categories/move";
import { ensureCategoryPath } from "../categories/paths";
import { deleteProduct } from "../delete";
import { importProducts } from "./import";
import { readLines } from "./ndjson";
import type { ImportFault } from "./shapes";

const t = useTestApp();
const folder = await mkdtemp(join(tmpdir(), "aizy-import-"));
afterAll(() => rm(folder, { recursive: true }));

const streamOf = (...chunks: (string | Uint8Array)[]) =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const chunk of chunks)
          controller.enqueue(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
        controller.close();
      },
    }),
  ).body as ReadableStream<Uint8Array>;

/** Imports lines of NDJSON; "dry run" or "rename" at the end asks for it, and so do batches of another size. */
async function load(...given: (object | string | Uint8Array)[]) {
  const last = given.at(-1);
  const batches =
    typeof last === "object" && "atOnce" in last
      ? (given.pop() as { size: number; atOnce: number })
      : undefined;
  const [dryRun, allowRename] = [given.at(-1) === "dry run", given.at(-1) === "rename"];
  const lines = dryRun || allowRename ? given.slice(0, -1) : given;
  const faults: ImportFault[] = [];
  const chunks = lines.flatMap((line) =>
    line instanceof Uint8Array
      ? [line, "\n"]
      : [`${typeof line === "string" ? line : JSON.stringify(line)}\n`],
  );
  const summary = await importProducts(
    t.deps,
    () => streamOf(...chunks),
    { format: "ndjson", dryRun, allowRename, ...(batches ? { batches } : {}) },
    (_, found) => {
      faults.push(...found);
    },
  );
  return { ...summary, faults };
}

beforeEach(async () => {
  const { databaseUrl, mongodbUri } = t.deps.config;
  await emptyDatabases({ databaseUrl, mongodbUri });
});

const LAMP = { sku: "LAMP-1", name: "Lamp", brand: "Lux", categories: ["Home", "Light"], price: 49.9 };

describe("import of products", () => {
  test("creates, and a second time changes nothing at all", async () => {
    const chair = { name: "Chair", price: 120, categories: ["Home"] };
    expect(await load(LAMP, chair)).toMatchObject({ rows: 2, created: 2, failed: 0 });
    const before = await t.deps.products.findBySku(canonicalKey("lamp-1"));
    expect(before).toMatchObject({ price: 4990, currency: "USD", brand: "Lux" });
    expect(before?.categoryTree).toHaveLength(2);
    t.clock.advance(60_000);
    expect(await load(LAMP, chair)).toMatchObject({
      rows: 2,
      created: 0,
      updated: 0,
      unchanged: 2,
      failed: 0,
    });
    expect(await t.deps.products.findBySku(canonicalKey("lamp-1"))).toEqual(before);
  });

  test("changes what the file changed and keeps what it does not know", async () => {
    await load(LAMP);
    const before = await t.deps.products.findBySku("lamp-1");
    expect(await load({ ...LAMP, price: 39, name: "Lamp II" }, "rename")).toMatchObject({ updated: 1 });
    const after = await t.deps.products.findBySku("lamp-1");
    expect(after).toMatchObject({
      _id: before?._id ?? "",
      slug: before?.slug ?? "",
      name: "Lamp II",
      price: 3900,
      version: 2,
    });
    expect(after?.variants[0]?._id).toBe(before?.variants[0]?._id ?? "");
  });

  test("a line about one variant leaves the others, and all it does not name, as they are", async () => {
    await ensureRoles(t.deps);
    const manager = await t.signIn({ roles: ["manager"] });
    const made = await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      json: {
        name: "Shirt",
        description: "Soft",
        brand: "Fjell",
        attrs: [{ key: "colour", value: "red" }],
        metadata: { season: "winter" },
        variants: [
          { sku: "SHIRT-S", price: 1000, gtin: "4006381333931", options: [{ name: "Size", value: "S" }] },
          { sku: "SHIRT-M", price: 1200 },
        ],
      },
    });
    expect(made.status).toBe(201);
    const before = await t.deps.products.findBySku("shirt-s");
    expect(await load({ sku: "shirt-s", name: "Shirt", price: 10 })).toMatchObject({ unchanged: 1 });
    expect(await load({ sku: "shirt-s", name: "Shirt", price: 15 })).toMatchObject({ updated: 1 });
    const after = await t.deps.products.findBySku("shirt-m");
    const [small, medium] = before?.variants ?? [];
    expect(after).toMatchObject({
      description: "Soft",
      brand: "Fjell",
      brandKey: "fjell",
      attrs: before?.attrs,
      metadata: { season: "winter" },
      price: 1200,
    });
    expect(after?.variants).toEqual([{ ...small, price: 1500 }, medium] as never);
  });

  test("bad lines are named by their number and the others count", async () => {
    const result = await load(
      LAMP,
      "",
      '{"name":"Half',
      { name: "No price" },
      { name: "Third of a cent", price: 0.333 },
      { name: "Negative", price: -1 },
      { name: { $ne: null }, price: 1 },
      { name: "Yen", price: 1.5, currency: "JPY" },
      { name: "Dinar", price: 1.234, currency: "KWD" },
      { name: "No such money", price: 1, currency: "XXQ" },
      Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d),
      '["a list"]',
      { name: "Too deep", price: 1, categories: Array.from({ length: 9 }, (_, level) => `L${level}`) },
    );
    expect(result).toMatchObject({ rows: 13, created: 2, failed: 10 });
    expect(result.faults.map(({ row }) => row)).toEqual([3, 4, 5, 6, 7, 8, 10, 11, 12, 13]);
    const at = (row: number) => result.faults.find((fault) => fault.row === row)?.message;
    expect(at(3)).toBe("is not valid JSON");
    expect(at(4)).toContain("price");
    expect(at(5)).toContain("more than 2 decimals of USD");
    expect(at(8)).toContain("more than 0 decimals of JPY");
    expect(at(11)).toBe("is not UTF-8");
    expect((await t.deps.products.findBySku(canonicalKey("LAMP-1")))?.price).toBe(4990);
  });

  test("one SKU twice in a file: the later line wins, as if they came in two files", async () => {
    const result = await load(LAMP, { ...LAMP, sku: "lamp-1", price: 10 }, { ...LAMP, sku: "ＬＡＭＰ-2" });
    expect(result).toMatchObject({ created: 2, updated: 1, failed: 0 });
    expect((await t.deps.products.findBySku("lamp-1"))?.price).toBe(1000);
  });

  test("a product is found by its slug too; a SKU and a slug of two products are a fault", async () => {
    await load({ ...LAMP, slug: "the-lamp" });
    expect(await load({ slug: "The-Lamp", price: 60 })).toMatchObject({ updated: 1, failed: 0 });
    expect(await t.deps.products.findBySku("lamp-1")).toMatchObject({ price: 6000, name: "Lamp" });
    const result = await load({ sku: "LAMP-2", slug: "the-lamp", price: 70 }, { ...LAMP, sku: "LAMP-3" });
    expect(result).toMatchObject({ created: 1, updated: 1 });
    const lamp = await t.deps.products.findBySlug("the-lamp");
    expect(lamp?.variants.map(({ sku, price }) => [sku, price])).toEqual([
      ["LAMP-1", 6000],
      ["LAMP-2", 7000],
    ]);
    const crossed = await load(
      { slug: "the-lamp", sku: "LAMP-3" },
      { variants: [{ sku: "LAMP-1" }, { sku: "LAMP-3" }] },
      { slug: "the-lamp", price: 5 },
      { slug: "nobody", price: 5 },
      { price: 5 },
    );
    expect(crossed).toMatchObject({ created: 0, updated: 0, failed: 5 });
    expect(crossed.faults.map(({ message }) => message)).toEqual([
      "A product with this slug exists, and the SKU belongs to another.",
      "Its SKUs belong to several products.",
      "price needs the sku of one of the product's several variants",
      "name is needed for a new product",
      "name is needed, or the sku or slug of a product that is there",
    ]);
  });

  test("variants are changed and added by their SKU, at most 250; attributes keep to their category", async () => {
    const shirt = {
      slug: "shirt",
      name: "Shirt",
      categories: [["Clothes", "Shirts"], ["Sale"]],
      attrs: [{ key: "weight", value: 120, unit: "g" }],
      variants: [
        { sku: "S", price: "10.00", gtin: "4006381333931", options: [{ name: "Size", value: "S" }] },
        { sku: "M", price: 10.5, compareAtPrice: "12.00", weight: 120 },
      ],
    };
    expect(await load(shirt)).toMatchObject({ created: 1, failed: 0 });
    expect(await load(shirt)).toMatchObject({ unchanged: 1 });
    expect(
      await load({
        variants: [
          { sku: "m", price: 11 },
          { sku: "L", price: 12 },
        ],
      }),
    ).toMatchObject({ updated: 1 });
    const made = await t.deps.products.findBySlug("shirt");
    expect(made?.variants.map(({ sku, price, compareAtPrice }) => [sku, price, compareAtPrice])).toEqual([
      ["S", 1000, null],
      ["M", 1100, 1200],
      ["L", 1200, null],
    ]);
    expect(made?.categoryIds).toHaveLength(2);
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => ({ sku: `X${from + n}`, price: 1 }));
    expect(await load({ slug: "shirt", variants: many(0, 247) })).toMatchObject({ updated: 1 });
    expect(await load({ slug: "shirt", variants: many(500, 1) })).toMatchObject({
      failed: 1,
      faults: [{ row: 1, message: "variants would be more than 250" }],
    });
    expect(await load({ name: "Many", variants: many(1000, 251) })).toMatchObject({ failed: 1 });
    const sale = (await t.deps.categories.findByPath("sale"))?._id ?? "";
    await t.deps.categories.update(
      sale,
      1,
      { attributes: [{ key: "weight", type: "number", unit: "kg", values: [] }] },
      t.clock.now(),
      undefined as never,
    );
    const refused = await load({ slug: "shirt", attrs: [{ key: "Weight", value: 1, unit: "g" }] });
    expect(refused.faults).toEqual([{ row: 1, message: "attrs.0.unit must be kg" }]);
  });

  test("prices beyond what a number holds are faults; text says the largest exactly", async () => {
    const result = await load(
      { ...LAMP, price: "90071992547409.91" },
      { ...LAMP, sku: "LAMP-2", price: "90071992547409.92" },
      { ...LAMP, sku: "LAMP-3", price: 1e21 },
      { ...LAMP, sku: "LAMP-4", price: "1e3" },
      { ...LAMP, sku: "LAMP-5", price: 0.1 + 0.2 },
    );
    expect(result).toMatchObject({ created: 1, failed: 4 });
    expect((await t.deps.products.findBySku("lamp-1"))?.price).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("a SKU whose deleted product left stock behind: the new one says that it is in stock", async () => {
    await ensureRoles(t.deps);
    const manager = await t.signIn({ roles: ["manager"] });
    const call = async (method: string, path: string, json?: object) => {
      const answer = await t.request(`/api/products${path}`, { method, token: manager.accessToken, json });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      return answer.status === 204 ? undefined : ((await answer.json()) as { data: { id: string } }).data;
    };
    await load(LAMP);
    const location = await call("POST", "/inventory/locations", { code: "MAIN", name: "Main" });
    await call("POST", "/inventory/adjust", {
      sku: "LAMP-1",
      locationId: location?.id,
      delta: 3,
      reason: "received",
    });
    const old = await t.deps.products.findBySku("lamp-1");
    await call("DELETE", `/${old?._id}`);
    expect(await load(LAMP, { ...LAMP, sku: "LAMP-2" })).toMatchObject({ created: 2 });
    await settleSignals(t.deps);
    expect((await t.deps.products.findBySku("lamp-1"))?.inStock).toBe(true);
    expect((await t.deps.products.findBySku("lamp-2"))?.inStock).toBe(false);
  });

  test("somebody who changes a product between the look-up and the write loses nothing", async () => {
    await load(LAMP, { ...LAMP, sku: "LAMP-2" });
    const undo = around(t.deps.products, "replaceMany", {
      before: async () => {
        const lamp = await t.deps.products.findBySku("lamp-1");
        if (lamp) await t.deps.products.replace({ ...lamp, description: "theirs" }, lamp.version);
      },
    });
    const result = await load({ sku: "LAMP-1", price: 1 }, { sku: "LAMP-2", price: 2 });
    undo();
    expect(result).toMatchObject({ updated: 2, failed: 0 });
    expect(await t.deps.products.findBySku("lamp-1")).toMatchObject({ description: "theirs", price: 100 });
    expect((await t.deps.products.findBySku("lamp-2"))?.price).toBe(200);
  });

  test("a category that moves, is merged or goes during an import: later lines go where their path says", async () => {
    const home = Array.from({ length: 10 }, (_, n) => [
      { sku: `M-${n}`, name: `Moved ${n}`, categories: ["Home", "Moved"], price: 1 },
      { sku: `J-${n}`, name: `Joined ${n}`, categories: ["Home", "Joined"], price: 1 },
      { sku: `G-${n}`, name: `Gone ${n}`, categories: ["Home", "Gone"], price: 1 },
    ]).flat();
    const attic = await ensureCategoryPath(t.deps, ["Attic"]);
    const none = async () => undefined;
    const find = async (path: string) => (await t.deps.categories.findByPath(path))?._id ?? "";
    let before: string[] | undefined;
    await importProducts(
      t.deps,
      () => streamOf(...home.map((line) => `${JSON.stringify(line)}\n`)),
      { format: "ndjson", batches: { size: 6, atOnce: 1 } },
      async () => {
        if (before) return;
        before = await Promise.all(["home/moved", "home/joined", "home/gone"].map(find));
        const [moved = "", joined = "", gone = ""] = before;
        await moveCategory(t.deps, null, moved, { parentId: attic._id }, undefined, none);
        await mergeCategory(t.deps, null, joined, attic._id);
        for (const { _id, version } of await t.deps.products.below(gone, null, 100)) {
          await deleteProduct(t.deps, null, _id, [version]);
        }
        await deleteCategory(t.deps, null, gone, undefined);
      },
    );
    for (const [place, path] of ["home/moved", "home/joined", "home/gone"].entries()) {
      const now = await find(path);
      expect(now).not.toBe("");
      expect(now).not.toBe(before?.[place] ?? "");
      const last = await t.deps.products.findBySku(`${"mjg"[place]}-9`);
      expect(last).toMatchObject({ categoryIds: [now], categoryTree: [await find("home"), now] });
    }
    expect(await t.deps.products.below(before?.[2] ?? "", null, 1)).toEqual([]);
    expect(await t.deps.products.below(before?.[1] ?? "", null, 1)).toEqual([]);
  });

  test("a category that goes while its products are being written: they are in the one that its path means now", async () => {
    const before = await ensureCategoryPath(t.deps, ["Going"]);
    const undo = around(t.deps.products, "create", {
      before: async () => {
        undo();
        await deleteCategory(t.deps, null, before._id, undefined);
      },
    });
    const lines = [1, 2].map((n) => ({ sku: `G-${n}`, name: `G ${n}`, categories: ["Going"], price: 1 }));
    expect(await load(...lines)).toMatchObject({ created: 2, updated: 0, failed: 0 });
    const now = await t.deps.categories.findByPath("going");
    expect(now?._id).not.toBe(before._id);
    for (const sku of ["g-1", "g-2"]) {
      expect(await t.deps.products.findBySku(sku)).toMatchObject({ categoryIds: [now?._id ?? ""] });
    }
  });

  test("attributes of a product that still names a merged category leave it in the target once", async () => {
    await load({ ...LAMP, categories: [["Old"], ["New"]] });
    const [old, target] = [
      await ensureCategoryPath(t.deps, ["Old"]),
      await ensureCategoryPath(t.deps, ["New"]),
    ];
    const before = await t.deps.products.findBySku("lamp-1");
    await mergeCategory(t.deps, null, old._id, target._id);
    // A writer that had read the categories before the merge, and wrote after it.
    await t.deps.mongo.connection
      .collection("products")
      .updateOne({ skuKeys: "lamp-1" }, { $set: { categoryIds: before?.categoryIds } });
    expect(await load({ sku: "LAMP-1", attrs: [{ key: "a", value: 1 }] })).toMatchObject({ updated: 1 });
    expect(await t.deps.products.findBySku("lamp-1")).toMatchObject({ categoryIds: [target._id] });
  });

  test("a line that only the schema of the store refuses is a fault of its row; the others count", async () => {
    const schema = t.deps.mongo.connection.models.Product?.schema.path("name") as SchemaType<string>;
    const validators = [...schema.validators];
    schema.validate((name: unknown) => name !== "Refused");
    const lines = [
      { sku: "A-1", name: "Before", price: 1 },
      { sku: "A-2", name: "Refused", price: 1 },
      { sku: "A-3", name: "After", price: 1 },
    ];
    const told = await load(...lines, "dry run");
    const made = await load(...lines);
    const changed = await load({ sku: "A-1", price: 2 }, { sku: "A-3", name: "Refused" }, "rename");
    schema.validators = validators;
    const fault = { row: 2, message: "name cannot be stored (user defined)" };
    expect(made).toMatchObject({ rows: 3, created: 2, failed: 1, faults: [fault] });
    const { samples: _, ...sums } = told;
    expect(sums).toEqual(made);
    expect(changed).toMatchObject({ updated: 1, failed: 1, faults: [fault] });
    expect(await t.deps.products.findBySku("a-3")).toMatchObject({ name: "After", version: 1 });
  });

  test("text that is longer in its canonical form goes in, and is found again", async () => {
    const long = {
      sku: "ß".repeat(100),
      name: "ß".repeat(500),
      brand: "ß".repeat(200),
      slug: "ß".repeat(120),
    };
    expect(await load({ ...long, price: 1 })).toMatchObject({ created: 1, failed: 0 });
    expect(await load({ ...long, price: 1 })).toMatchObject({ unchanged: 1, failed: 0 });
  });

  test("a dry run says what an import would do, and changes nothing", async () => {
    await load(LAMP);
    const before = await t.deps.products.findBySku("lamp-1");
    const lines = [
      { ...LAMP, price: 1 },
      LAMP,
      { ...LAMP, sku: "NEW-1", categories: ["New", "Category"] },
      { sku: "NEW-1", price: 3 },
      { sku: "NEW-1", name: "Lamp", brand: "Lux II" },
      { name: "Third of a cent", price: 0.333 },
      { sku: "LAMP-1", categories: ["!!!"] },
    ];
    const told = await load(...lines, "dry run");
    expect(await t.deps.products.findBySku("lamp-1")).toEqual(before);
    expect(await t.deps.products.count()).toBe(1);
    expect(await t.deps.categories.all()).toHaveLength(2);
    const done = await load(...lines);
    expect(told).toMatchObject({ created: 1, updated: 4, failed: 2, faults: done.faults });
    expect(done).toMatchObject({ created: 1, updated: 4, failed: 2 });
  });

  test("two imports of one file at once make each product once", async () => {
    const lines = Array.from({ length: 40 }, (_, n) => ({ ...LAMP, sku: `S-${n}`, name: `Lamp ${n}` }));
    const batches = { size: 8, atOnce: 3 };
    const [first, second] = await Promise.all([load(...lines, batches), load(...lines, batches)]);
    expect(first.faults).toEqual([]);
    expect(second.faults).toEqual([]);
    expect((first.created ?? 0) + (second.created ?? 0)).toBe(40);
    expect(await t.deps.products.count()).toBe(40);
  }, 60_000);
});

describe("readLines", () => {
  test("gives the same lines however the bytes are cut", async () => {
    const lines = fc.array(
      fc.string({ unit: "grapheme" }).map((text) => text.replace(/\n/g, "")),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat(40), { maxLength: 10 }), async (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""));
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
          bytes.length,
        ];
        const chunks = places
          .slice(1)
          .map((end, index) => new Uint8Array(bytes.subarray(places[index], end)));
        const read: string[] = [];
        for await (const line of readLines(streamOf(...chunks)))
          read.push("text" in line ? line.text : line.error);
        expect(read).toEqual(texts);
      }),
    );
  });

  test("a line without end does not fill the memory", async () => {
    const chunk = new Uint8Array(256 * 1024).fill(120);
    const read: object[] = [];
    for await (const line of readLines(streamOf(chunk, chunk, chunk, chunk, chunk, "\n{}\n")))
      read.push(line);
    expect(read).toEqual([{ error: "is longer than 1048576 bytes" }, { text: "{}" }]);
  });
});

describe("bun run import", () => {
  const run = async (...words: string[]) => {
    const program = startProgram(["src/products/bulk/import.cli.ts", ...words]);
    return { code: await program.ended(), output: program.output() };
  };

  test("a file that is not there, a folder, an empty one, none: a clear message and an exit code", async () => {
    expect(await run()).toMatchObject({ code: 2, output: expect.stringContaining("Usage") });
    expect(await run(join(folder, "none.ndjson"))).toMatchObject({
      code: 1,
      output: expect.stringContaining("Cannot read"),
    });
    expect(await run(folder)).toMatchObject({ code: 1, output: expect.stringContaining("not a file") });
    await writeFile(join(folder, "empty.ndjson"), "");
    expect(await run(join(folder, "empty.ndjson"))).toMatchObject({
      code: 1,
      output: expect.stringContaining("is empty"),
    });
  }, 60_000);

  test("a file that was only half written: the whole lines are in, the last is named, exit 1", async () => {
    const file = join(folder, "half.ndjson");
    await writeFile(
      file,
      `${JSON.stringify(LAMP)}\n${JSON.stringify({ ...LAMP, sku: "LAMP-2" }).slice(0, 30)}`,
    );
    const { code, output } = await run(file);
    expect(code).toBe(1);
    expect(output).toContain("row 2: is not valid JSON");
    expect(output).toContain("2 rows: 1 created, 0 updated, 0 unchanged, 1 bad.");
    expect(await t.deps.products.count()).toBe(1);
  }, 60_000);

  test("a dry run and a CSV file", async () => {
    const file = join(folder, "few.csv");
    await writeFile(file, "sku,name,price\r\nA,Lamp A,1.50\r\nB,Lamp B,x\r\n");
    const dry = await run(file, "--dry-run");
    expect(dry.output).toContain("row 3: price must be a number");
    expect(dry.output).toContain("3 rows, a dry run that changed nothing: 1 created");
    expect(await t.deps.products.count()).toBe(0);
    expect((await run(file, "--nonsense")).code).toBe(2);
    expect((await run(file)).output).toContain("3 rows: 1 created, 0 updated, 0 unchanged, 1 bad.");
  }, 60_000);

  test("killed in the middle, it goes on where it was, and each product is there once", async () => {
    const file = join(folder, "killed.ndjson");
    const count = 700;
    await writeFile(
      file,
      Array.from({ length: count }, (_, n) =>
        n % 400 === 5 ? "bad" : JSON.stringify({ ...LAMP, sku: `K-${n}`, name: `Lamp ${n}` }),
      ).join("\n"),
    );
    const saved = () =>
      t.deps.mongo.connection
        .collection("importCheckpoints")
        .countDocuments({ "progress.rows": { $gte: 100 } });
    const others = await saved();
    const first = startProgram(["src/products/bulk/import.cli.ts", file]);
    // Not the products: batches are written side by side, and recorded one after the other.
    await eventually(async () => (await saved()) > others, "a part of the import");
    await first.kill("SIGKILL");
    const before = await t.deps.products.count();
    expect(before).toBeLessThan(count - 2);
    const second = await run(file);
    expect(second.output).toMatch(/Going on behind row \d*00,/);
    const [, rows, created, updated, unchanged, failed] =
      /(\d+) rows: (\d+) created, (\d+) updated, (\d+) unchanged, (\d+) bad/
        .exec(second.output)
        ?.map(Number) ?? [];
    expect([rows, updated, failed]).toEqual([count, 0, 2]);
    // What was written and not yet recorded when it died is found unchanged.
    expect((created ?? 0) + (unchanged ?? 0)).toBe(count - 2);
    expect(unchanged).toBeLessThanOrEqual(300);
    expect(await t.deps.products.count()).toBe(count - 2);
    expect((await run(file)).output).toContain(
      `700 rows: 0 created, 0 updated, ${count - 2} unchanged, 2 bad.`,
    );
  }, 120_000);

  const data = process.env.TEST_DATA;
  test.skipIf(!data)(
    "3,291 real products (800 without AIZY_LONG=1) with their category paths; twice changes nothing (needs TEST_DATA)",
    async () => {
      const given = (await readFile(join(data ?? "", "bestbuy-products.ndjson"), "utf8"))
        .trimEnd()
        .split("\n");
      expect(given).toHaveLength(3291);
      // Enough for several batches and categories that many products share.
      const lines = process.env.AIZY_LONG === "1" ? given : given.slice(0, 800);
      const file = join(folder, "real.ndjson");
      await writeFile(file, lines.join("\n"));
      const first = await run(file);
      expect(first.output).toContain(
        `${lines.length} rows: ${lines.length} created, 0 updated, 0 unchanged, 0 bad.`,
      );
      expect(first.code).toBe(0);
      expect(first.output).toMatch(/Importing \[#+\] 100 %/);
      const second = await run(file);
      expect(second.output).toContain(
        `${lines.length} rows: 0 created, 0 updated, ${lines.length} unchanged, 0 bad.`,
      );
      expect(second.code).toBe(0);
    },
    120_000,
  );
});

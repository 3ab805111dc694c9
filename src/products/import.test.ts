import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { seedRoles, useTestApp } from "../../test/app";
import { emptyDatabases } from "../../test/databases";
import { startProgram } from "../../test/processes";
import { canonicalKey } from "../canonical";
import { type ImportFault, importProducts, readLines } from "./import";

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

async function load(...lines: (object | string | Uint8Array)[]) {
  const faults: ImportFault[] = [];
  const chunks = lines.flatMap((line) =>
    line instanceof Uint8Array
      ? [line, "\n"]
      : [`${typeof line === "string" ? line : JSON.stringify(line)}\n`],
  );
  const summary = await importProducts(t.deps, streamOf(...chunks), (_, fault) => {
    if (fault) faults.push({ ...fault });
  });
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
    expect(await load(LAMP, chair)).toMatchObject({ lines: 2, created: 2, failed: 0 });
    const before = await t.deps.products.findBySku(canonicalKey("lamp-1"));
    expect(before).toMatchObject({ price: 4990, currency: "USD", brand: "Lux" });
    expect(before?.categoryTree).toHaveLength(2);
    t.clock.advance(60_000);
    expect(await load(LAMP, chair)).toMatchObject({
      lines: 2,
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
    expect(await load({ ...LAMP, price: 39, name: "Lamp II" })).toMatchObject({ updated: 1 });
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
    await seedRoles(t.deps);
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
    expect(result).toMatchObject({ lines: 13, created: 2, failed: 10 });
    expect(result.faults.map(({ line }) => line)).toEqual([3, 4, 5, 6, 7, 8, 10, 11, 12, 13]);
    const at = (line: number) => result.faults.find((fault) => fault.line === line)?.message;
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

  test("a slug that another product has is a fault of the line", async () => {
    await load({ ...LAMP, slug: "the-lamp" });
    const result = await load({ ...LAMP, sku: "LAMP-2", slug: "the-lamp" }, { ...LAMP, sku: "LAMP-3" });
    expect(result).toMatchObject({ created: 1, failed: 1 });
    expect(result.faults).toEqual([{ line: 1, message: "A product with this slug exists." }]);
  });

  test("two imports of one file at once make each product once", async () => {
    const lines = Array.from({ length: 250 }, (_, n) => ({ ...LAMP, sku: `S-${n}`, name: `Lamp ${n}` }));
    const [first, second] = await Promise.all([load(...lines), load(...lines)]);
    expect(first.faults).toEqual([]);
    expect(second.faults).toEqual([]);
    expect((first.created ?? 0) + (second.created ?? 0)).toBe(250);
    expect(await t.deps.products.count()).toBe(250);
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
    const program = startProgram(["src/products/import.cli.ts", ...words]);
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
    expect(output).toContain("line 2: is not valid JSON");
    expect(output).toContain("2 lines: 1 created, 0 updated, 0 unchanged, 1 bad.");
    expect(await t.deps.products.count()).toBe(1);
  }, 60_000);

  const data = process.env.TEST_DATA;
  test.skipIf(!data)(
    "all 3,291 real products with their category paths; twice changes nothing (needs TEST_DATA)",
    async () => {
      const file = join(data ?? "", "bestbuy-products.ndjson");
      const first = await run(file);
      expect(first.output).toContain("3291 lines: 3291 created, 0 updated, 0 unchanged, 0 bad.");
      expect(first.code).toBe(0);
      expect(first.output).toMatch(/Importing \[#+\] 100 %/);
      const second = await run(file);
      expect(second.output).toContain("3291 lines: 0 created, 0 updated, 3291 unchanged, 0 bad.");
      expect(second.code).toBe(0);
    },
    120_000,
  );
});

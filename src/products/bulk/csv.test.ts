import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../../test/app";
import { emptyDatabases } from "../../../test/databases";
import type { MongoTx } from "../../db/mongo";
import { canonicalKey, isVisible } from "../../lib/text";
import { ensureCategoryPath } from "../categories/paths";
import { createProduct } from "../create";
import { createProductSchema } from "../schema";
import { bare, harmless } from "./cells";
import { COLUMNS } from "./columns";
import { readCsv } from "./csv";
import { exportProducts } from "./export";
import { importProducts } from "./import";
import type { Format, ImportFault, ReadLine } from "./shapes";

const t = useTestApp();

async function* streamOf(...chunks: (string | Uint8Array)[]) {
  for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}
const read = async (...chunks: (string | Uint8Array)[]) => {
  const lines: ReadLine[] = [];
  for await (const line of readCsv(streamOf(...chunks))) lines.push(line);
  return lines;
};
async function load(bytes: string | Uint8Array, format: Format = "csv", dryRun = false) {
  const faults: ImportFault[] = [];
  const result = await importProducts(
    t.deps,
    () => streamOf(bytes),
    { format, dryRun },
    (_, found) => {
      faults.push(...found);
    },
  );
  return { ...result, faults };
}
const written = async (format: Format): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of exportProducts(t.deps, { format })) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
};
const empty = () => {
  const { databaseUrl, mongodbUri } = t.deps.config;
  return emptyDatabases({ databaseUrl, mongodbUri });
};
beforeEach(empty);

/** Text as people and attackers write it: what CSV, spreadsheets and our own marks could mistake. */
const nasty = fc
  .array(
    fc.constantFrom(
      ..."=+-@'\"\\/|,;:%\t\n\r<>&$",
      "a",
      "Ä",
      "é",
      "日本",
      "👩‍👩‍👧",
      "\u202e",
      "＝",
      "＋1",
      '"",""',
      "\r\n",
      "=cmd|'/c calc'!A1",
      "null",
      "0",
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join(""));
/** Of one line, showing something: what a name must be. */
const lineOf = (max: number) =>
  nasty
    .map((text) =>
      text
        .replace(/\p{Cc}/gu, " ")
        .normalize("NFC")
        .slice(0, max)
        .toWellFormed()
        .trim(),
    )
    .filter(isVisible);

describe("cells", () => {
  test("no text is left that a spreadsheet would run, and every text comes back", () => {
    fc.assert(
      fc.property(fc.oneof(nasty, fc.string({ unit: "binary" })), (text) => {
        expect(harmless(text)).not.toMatch(/^[=+\-@\t\r]/);
        expect(bare(harmless(text))).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("reading", () => {
  const HEADER = "slug,name,sku,price\n";

  test("RFC 4180: quotes, commas, newlines and marks, however the bytes are cut", async () => {
    const text =
      '\ufeffslug,name,description,sku,price\r\n"a","A, ""quoted""","two\r\nlines",A-1,"1.00"\r\n\r\nb,B 5" pipe,,B-1,2';
    const bytes = Buffer.from(text);
    const whole = await read(bytes);
    expect(whole.map(({ row, value }) => [row, (value as { name?: string } | undefined)?.name])).toEqual([
      [2, 'A, "quoted"'],
      [3, undefined],
      [4, 'B 5" pipe'],
    ]);
    expect(whole[0]?.value).toMatchObject({
      description: "two\r\nlines",
      variants: [{ sku: "A-1", price: "1.00" }],
    });
    for (let at = 0; at <= bytes.length; at++) {
      expect(await read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
    }
    expect(await read(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test("rows of one product are one line; a product's own cells are left empty or repeated", async () => {
    const lines = await read(
      `${HEADER}a,A,1,1\nA,,2,2\na,A,3,3\na,Other,4,4\n,Lone,5,5\n,,6,6\nb,,7,7\nb,,8,8\nc,C,,9\n`,
    );
    expect(lines.map(({ row, last }) => [row, last])).toEqual([
      [2, 4],
      [5, 5],
      [6, 6],
      [7, 7],
      [8, 9],
      [10, 10],
    ]);
    expect(lines[0]?.value).toEqual({
      slug: "a",
      name: "A",
      variants: [
        { sku: "1", price: "1" },
        { sku: "2", price: "2" },
        { sku: "3", price: "3" },
      ],
    });
    expect(lines[4]?.value).toEqual({
      slug: "b",
      variants: [
        { sku: "7", price: "7" },
        { sku: "8", price: "8" },
      ],
    });
    expect(lines[5]?.value).toEqual({ slug: "c", name: "C", price: "9" });
  });

  test("faults are told with their rows, and the other rows count", async () => {
    const result = await load(
      Buffer.concat([
        Buffer.from("slug,name,sku,price,weight,options,metadata,gtin\n"),
        Buffer.from("a,A,A-1,1,,,,\n"),
        Buffer.from("b,B,B-1,1,,,\n"),
        Buffer.from("c,"),
        Uint8Array.of(0xff, 0xfe),
        Buffer.from(",C-1,1,,,,\n"),
        Buffer.from(
          "d,D,D-1,1,heavy,,,\nd,,D-2,-1,,,,\ne,E,E-1,1,,Size,,\nf,F,F-1,1,,,{x,\ng,G,,1,,,,4006381333931\n",
        ),
        Buffer.from('h,H,H-1,"1,50",,,,\ni,I,I-1,1,,"Size=M|Col\\=our=Red",,\n'),
      ]),
    );
    expect(result).toMatchObject({ created: 3, failed: 6, rows: 11 });
    expect(result.faults).toEqual([
      { row: 3, message: "has 7 cells instead of 8" },
      { row: 4, message: "is not UTF-8" },
      { row: 5, message: "weight must be a number of grams" },
      { row: 6, message: "price must be a number such as 49.99, not negative" },
      { row: 7, message: "options must be like Size=M|Colour=Red" },
      { row: 8, message: "metadata is not valid JSON" },
      { row: 9, message: "sku is needed with variant, compareAtPrice, gtin, weight or options" },
    ]);
    expect(
      (await t.deps.products.findBySlug("i"))?.variants[0]?.options.map(({ name, value }) => [name, value]),
    ).toEqual([
      ["Size", "M"],
      ["Col=our", "Red"],
    ]);
  });

  test.each([
    ["an unknown column", "name,prise\nA,1\n", '"prise" is no column'],
    ["a column twice", "name,Price,price\nA,1,1\n", "the column price is there twice"],
    ["nothing that names a product", "price\n1\n", "the header must name sku, slug or name"],
    ["a prototype", "name,__proto__\nA,1\n", '"__proto__" is no column'],
    ["half of UTF-16", Buffer.from("\ufeffname,price\n", "utf16le").subarray(0, -1), "is not UTF-16"],
  ])("%s is told in row 1, and nothing is imported", async (_, bytes, message) => {
    const result = await load(bytes);
    expect(result).toMatchObject({ created: 0, failed: 1 });
    expect(result.faults).toEqual([{ row: 1, message: expect.stringContaining(message) }]);
  });

  test.each(["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])(
    "%j says what separates, and is no row",
    async (note) => {
      const [first, second, ...more] = await read(
        `${note}\r\nsku;name;price\r\nA;Lamp, large;1\r\nB;"x;y";2\r\n`,
      );
      expect([first, second?.value, more]).toEqual([
        expect.objectContaining({ row: 2, value: expect.objectContaining({ name: "Lamp, large" }) }),
        expect.objectContaining({ name: "x;y" }),
        [],
      ]);
    },
  );

  test("a quotation mark that stays open, and commas without end, do not fill the memory", async () => {
    const open = await read(`${HEADER}a,A,A-1,1\n"b,B,B-1,1\nc,C,C-1,1\n`);
    expect(open.map(({ row, fault }) => [row, fault])).toEqual([
      [2, undefined],
      [3, "has a quotation mark that is not closed"],
    ]);
    for (const filler of ['"x', ","]) {
      const chunk = Buffer.from(filler.at(-1)?.repeat(512 * 1024) ?? "");
      const lines = await read(HEADER, "a,A,A-1,1\n", filler, ...Array(20).fill(chunk));
      expect(lines.map(({ row }) => row)).toEqual([2, 3]);
      expect(lines[1]?.fault).toContain("is longer than 1048576 bytes");
    }
  });

  test("more rows than a product may have variants: those are made, the next is a fault", async () => {
    const rows = Array.from({ length: 251 }, (_, n) => `many,${n === 0 ? "Many" : ""},M-${n},1`);
    const result = await load(`${HEADER}${rows.join("\n")}\n`);
    expect(result).toMatchObject({ created: 1, failed: 1, rows: 252 });
    expect(result.faults).toEqual([{ row: 252, message: "variants would be more than 250" }]);
    expect((await t.deps.products.findBySlug("many"))?.variants).toHaveLength(250);
  });

  test("prices alone: what a file has no column for stays as it is", async () => {
    await load("slug,name,brand,sku,price\na,A,Fjell,A-1,1\na,,,A-2,2\n");
    const before = await t.deps.products.findBySlug("a");
    expect(await load("sku,price\nA-2,5\n")).toMatchObject({ updated: 1 });
    expect(await t.deps.products.findBySlug("a")).toMatchObject({ name: "A", brand: "Fjell", price: 100 });
    expect((await t.deps.products.findBySlug("a"))?.variants).toEqual([
      before?.variants[0],
      { ...before?.variants[1], price: 500 },
    ] as never);
    expect(await load("slug,name,brand,sku\na,A,,A-1\n")).toMatchObject({ updated: 1 });
    expect((await t.deps.products.findBySlug("a"))?.brand).toBeNull();
  });
});

describe("export and import", () => {
  const product = fc.record(
    {
      name: lineOf(60),
      description: nasty.map((text) => text.normalize("NFC").trim()),
      brand: fc.option(lineOf(30)),
      status: fc.constantFrom("draft", "active", "archived"),
      popularity: fc.constantFrom(0, 1, 2.5, 1e21),
      attrs: fc.uniqueArray(
        fc.record({
          key: fc.constantFrom("colour", "größe", "a-b"),
          value: fc.oneof(lineOf(20), fc.integer(), fc.boolean(), fc.constant(0.1)),
          unit: fc.option(lineOf(5)),
        }),
        { selector: ({ key }) => key, maxLength: 3 },
      ),
      metadata: fc.dictionary(
        fc.constantFrom("season", "rank", "constructorx"),
        fc.oneof(lineOf(20), fc.boolean()),
      ),
      categories: fc.array(
        fc.array(
          lineOf(20).filter((name) => /[\p{L}\p{N}]/u.test(name)),
          { minLength: 1, maxLength: 3 },
        ),
        {
          maxLength: 2,
        },
      ),
      variants: fc.array(
        fc.record({
          sku: lineOf(20),
          name: fc.option(lineOf(20)),
          price: fc.oneof(fc.nat(100_000), fc.constant(Number.MAX_SAFE_INTEGER)),
          currency: fc.constantFrom("USD", "JPY", "KWD"),
          compareAtPrice: fc.option(fc.nat(100_000)),
          gtin: fc.option(fc.constantFrom("4006381333931", "00012345678905")),
          weight: fc.option(fc.constantFrom(0, 250, 0.5, 1e-7)),
          options: fc.uniqueArray(fc.record({ name: lineOf(10), value: lineOf(10) }), {
            maxLength: 2,
            selector: ({ name }) => canonicalKey(name),
          }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    },
    { noNullPrototype: true },
  );

  /** What must come back: all but ids, times and versions. */
  const stored = async () =>
    (await t.deps.products.pageById(null, 1000)).map(
      ({ _id, categoryIds, categoryTree, createdAt, updatedAt, version, variants, ...rest }) => ({
        ...rest,
        categories: categoryIds.length,
        tree: categoryTree.length,
        variants: variants.map(({ _id: _, ...variant }) => variant),
      }),
    );
  const paths = async () => (await t.deps.categories.all()).map(({ path, name }) => [path, name]);

  test.each(["ndjson", "csv"] as const)(
    "%s: any catalogue comes back as it was, and a second import changes nothing",
    async (format) => {
      await fc.assert(
        fc.asyncProperty(fc.array(product, { minLength: 1, maxLength: 4 }), async (products) => {
          await empty();
          let serial = 0;
          for (const { categories, popularity, ...input } of products) {
            const made = [];
            for (const path of categories) made.push(await ensureCategoryPath(t.deps, path));
            const parsed = createProductSchema.parse({
              ...input,
              categoryIds: [...new Set(made.map(({ _id }) => _id))],
              // Unique, and still beginning as it was drawn.
              variants: input.variants.map(({ options, ...variant }) => ({
                ...variant,
                sku: `${variant.sku} ${++serial}`,
                options: options.map(({ name, value }) => ({ name, value: `${value} ${serial}` })),
              })),
            });
            const { id } = await createProduct(t.deps, null, parsed, async (_: MongoTx) => undefined);
            await t.deps.mongo.connection
              .collection("products")
              .updateOne({ _id: id as never }, { $set: { popularity } });
          }
          const before = { products: await stored(), paths: await paths() };
          const file = await written(format);
          expect(await load(file, format)).toMatchObject({
            unchanged: products.length,
            failed: 0,
            faults: [],
          });
          await empty();
          expect(await load(file, format, true)).toMatchObject({ created: products.length, failed: 0 });
          expect(await load(file, format)).toMatchObject({ created: products.length, failed: 0, faults: [] });
          expect(await stored()).toEqual(before.products);
          // Categories that no product is in are not in the file.
          expect(before.paths).toEqual(expect.arrayContaining(await paths()));
          expect(Buffer.from(await written(format)).equals(Buffer.from(file))).toBe(true);
        }),
        { numRuns: 6 },
      );
    },
    120_000,
  );

  test("a category whose name would make another slug is found again", async () => {
    const twin = await ensureCategoryPath(t.deps, ["Twin"]);
    await t.deps.mongo.connection
      .collection("categories")
      .updateOne({ _id: twin._id as never }, { $set: { name: "Renamed / |" } });
    await load("name,sku,price,categories\nA,A-1,1,twin\n");
    expect(await load(await written("csv"))).toMatchObject({ unchanged: 1 });
    expect(await t.deps.categories.all()).toHaveLength(1);
  });

  test("no cell of an export is a formula, and each row has all its cells", async () => {
    const name = '=HYPERLINK("http://example.com")';
    await load(
      Buffer.from(
        `${JSON.stringify({ name, brand: "@x", description: "\ttab", variants: [{ sku: "-1", price: 1, name: "+1" }] })}\n`,
      ),
      "ndjson",
    );
    const lines: string[][] = [];
    const text = new TextDecoder().decode(await written("csv"));
    const { parse } = await import("csv-parse/sync");
    lines.push(...(parse(text, { bom: true }) as string[][]));
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toHaveLength(COLUMNS.length);
    for (const cell of lines.flat()) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
    expect(lines[1]).toContain(`'${name}`);
  });
});

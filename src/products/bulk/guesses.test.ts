/** Imports never guess: what could mean two things is a fault of its row. */
import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../../test/app";
import { emptyDatabases } from "../../../test/databases";
import { slugify } from "../../lib/text";
import { bareCode, harmlessCode } from "./cells";
import { exportProducts } from "./export";
import { type ImportOptions, importProducts } from "./import";
import type { ImportProgress } from "./shapes";

const t = useTestApp();
beforeEach(async () => {
  const { databaseUrl, mongodbUri } = t.deps.config;
  await emptyDatabases({ databaseUrl, mongodbUri });
});

async function load(content: string | Uint8Array, more: Partial<ImportOptions> = {}) {
  const faults: string[] = [];
  const open = async function* () {
    yield Buffer.from(content as string);
  };
  const result = await importProducts(t.deps, open, { format: "csv", ...more }, (_, found) => {
    faults.push(...found.map(({ row, message }) => `${row}: ${message}`));
  });
  return { ...result, faults };
}
const lines = (...given: object[]) => given.map((line) => `${JSON.stringify(line)}\n`).join("");
const ndjson = (...given: object[]) => load(lines(...given), { format: "ndjson" });
const bySlug = async (slug: string) => {
  const product = await t.deps.products.findBySlug(slug);
  if (!product) throw new Error(`no product ${slug}`);
  return product;
};
const pricesOf = async (slug: string) =>
  (await bySlug(slug)).variants.map(({ sku, price, currency }) => [sku, price, currency]);

describe("text that no database holds", () => {
  test("half of a surrogate pair in a value or a name is a fault of its row; the others count", async () => {
    const half = '"\\ud83d"';
    const file =
      `{"slug":"a","name":${half},"price":1}\n` +
      `{"slug":"b","name":"B","price":1,"metadata":{${half}:1}}\n` +
      '{"slug":"c","name":"\\ud83d\\ude00","price":1}\n';
    const { created, failed, faults } = await load(file, { format: "ndjson" });
    expect([created, failed]).toEqual([1, 2]);
    expect(faults).toEqual([
      "1: name holds half of a surrogate pair, which is no text",
      "2: metadata.\ufffd holds half of a surrogate pair, which is no text",
    ]);
    expect((await bySlug("c")).name).toBe("\u{1f600}");
  });
});

describe("JSON that would change on its way", () => {
  test("a name that stands twice is a fault: which of the values counts would be a guess", async () => {
    const file =
      '{"slug":"a","name":"A","price":1,"price":2}\n' +
      '{"slug":"b","name":"B","variants":[{"sku":"B","price":1,"s\\u006bu":"C"}]}\n' +
      '{"slug":"c","name":"C","price":1}\n';
    const { created, faults } = await load(file, { format: "ndjson" });
    expect(created).toBe(1);
    expect(faults).toEqual([
      '1: "price" is there twice in one object',
      '2: "sku" is there twice in one object',
    ]);
  });

  test("so it is in a cell of CSV, which names the column; the other rows count", async () => {
    const file =
      'slug,name,price,metadata,attrs\na,A,1,"{""season"":1,""s\\u0065ason"":2}",\n' +
      'b,B,1,,"[{""key"":""a"",""value"":1,""value"":2}]"\nc,C,1,"{""a"":{""x"":1},""b"":{""x"":1}}",\n' +
      'd,D,1,"{""a"":""\\ud83d""}",\n';
    const { created, faults } = await load(file);
    expect(created).toBe(1);
    expect(faults).toEqual([
      '2: metadata: "season" is there twice in one object',
      '3: attrs: "value" is there twice in one object',
      "5: metadata.a holds half of a surrogate pair, which is no text",
    ]);
  });

  test("a name that copies leave out, and a number that was another one, are faults", async () => {
    const file =
      '{"slug":"a","name":"A","price":1,"metadata":{"__proto__":{"x":1}}}\n' +
      '{"slug":"b","name":"B","price":1,"metadata":{"id":12345678901234567890}}\n';
    expect((await load(file, { format: "ndjson" })).faults).toEqual([
      "1: metadata.__proto__ is not allowed as a key",
      "2: metadata.id is larger than a number holds exactly; write it as text",
    ]);
    const csv = 'slug,name,price,metadata\na,A,1,"{""__proto__"":1}"\n';
    expect((await load(csv)).faults).toEqual(["2: metadata.__proto__ is not allowed as a key"]);
  });
});

describe("amounts of another currency", () => {
  test("every money field is needed anew, or said to be none", async () => {
    const mug = { slug: "mug", name: "Mug", variants: [{ sku: "M", price: 949, compareAtPrice: 1099 }] };
    await ndjson(mug);
    for (const change of [
      { variants: [{ sku: "M", price: 100, currency: "JPY" }] },
      { currency: "JPY", variants: [{ sku: "M", price: 100 }] },
      { slug: "mug", price: 100, currency: "JPY" },
    ]) {
      const { failed, faults } = await ndjson(change);
      expect([failed, faults[0]]).toEqual([
        1,
        expect.stringContaining("compareAtPrice is needed with another currency"),
      ]);
    }
    expect(
      (await ndjson({ variants: [{ sku: "M", currency: "JPY", compareAtPrice: 1 }] })).faults[0],
    ).toContain("price is needed with another currency");
    expect(
      await ndjson({ variants: [{ sku: "M", price: 100, currency: "JPY", compareAtPrice: null }] }),
    ).toMatchObject({
      updated: 1,
    });
    expect((await bySlug("mug")).variants[0]).toMatchObject({
      price: 100,
      currency: "JPY",
      compareAtPrice: null,
    });
  });
});

describe("a compare-at price that is not above the price", () => {
  const told = { "compare-at prices that are not above the price, which show no reduction": 2 };

  test("is taken and told, also where a row names the price alone, and when an import is gone on with", async () => {
    const file = "sku,name,price,compareAtPrice\nA,A,10,12\nB,B,10,10\nC,C,10,5\nD,D,10,\n";
    expect(await load(file, { dryRun: true })).toMatchObject({ created: 4, ignored: told });
    expect(await load(file)).toMatchObject({ created: 4, failed: 0, ignored: told });
    const [b] = await t.deps.products.findBySkus(["b"]);
    expect(b?.variants[0]).toMatchObject({ price: 1000, compareAtPrice: 1000 });
    const changed = "sku,price\nA,13\nB,9\nC,6\n";
    const saved: ImportProgress[] = [];
    const open = async function* () {
      yield Buffer.from(changed);
    };
    const options = { format: "csv" as const, batches: { size: 1, atOnce: 1 } };
    expect(
      await importProducts(t.deps, open, options, (progress) => void saved.push(progress)),
    ).toMatchObject({ updated: 3, ignored: told });
    expect(
      await importProducts(t.deps, open, { ...options, resume: saved[0] }, () => undefined),
    ).toMatchObject({ ignored: told });
  });

  test("nothing is told of others", async () => {
    expect((await load("sku,name,price,compareAtPrice\nA,A,10,12\n")).ignored).toEqual({});
  });
});

describe("a SKU or a slug of two products", () => {
  test("in one file: the second row is a fault that names the first, in a dry run too", async () => {
    const file = "slug,name,sku,price\nmug,Mug,A-1,1\ncup,Cup,a-1,2\nmug,Jug,B-1,3\njar,Jar,C-1,4\n";
    for (const dryRun of [true, false]) {
      expect(await load(file, { dryRun })).toMatchObject({
        created: 2,
        updated: 0,
        faults: [
          "3: the SKU a-1 is that of another product in row 2",
          "4: the slug mug is that of another product in row 2",
        ],
      });
    }
    expect(await pricesOf("mug")).toEqual([["A-1", 100, "USD"]]);
  });

  test("also when both have one name, and when its SKU was made", async () => {
    const file =
      "slug,name,options,sku,price\nmug-1,Mug,,M,1\nmug-2,Mug,,M,2\nt,T,A=Black|B=L,,1\nt-black,T 2,B=L,,2\n";
    for (const dryRun of [true, false]) {
      expect((await load(file, { dryRun })).faults).toEqual([
        "3: the SKU M is that of another product in row 2",
        "5: the SKU T-BLACK-L, made of its slug and options, is that of another product in row 4",
      ]);
    }
    const long = "a".repeat(100);
    const slugs = `slug,name,options,price\n${long}x,X,S=L,1\n${long}y,Y,S=L,2\n`;
    expect(await load(slugs)).toMatchObject({ created: 2, failed: 0 });
  });

  test("also when thousands of rows lie between them, and when renaming is allowed", async () => {
    const rows = Array.from({ length: 60 }, (_, n) => `p-${n},P ${n},S-${n},1`);
    const file = `slug,name,sku,price\n${rows.join("\n")}\nother,Other,S-0,9\n`;
    const result = await load(file, { allowRename: true });
    expect(result.faults).toEqual(["62: the SKU S-0 is that of another product in row 2"]);
    expect((await bySlug("p-0")).name).toBe("P 0");
  });

  test("of the shop: its product keeps its name and slug, unless somebody asks for renaming", async () => {
    await load("slug,name,sku,price\nmug,Mug,A-1,1\n");
    for (const row of ["cup,Cup,A-1,2", ",Cup,A-1,2", "cup,,A-1,2", "mug,Cup,B-9,2", "cup,Mug,A-1,2"]) {
      const { created, updated, faults } = await load(`slug,name,sku,price\n${row}\n`);
      expect([row, created, updated, faults.length]).toEqual([row, 0, 0, 1]);
      expect(faults[0]).toContain('"Mug" (mug)');
    }
    expect(await pricesOf("mug")).toEqual([["A-1", 100, "USD"]]);
    // Spellings of one name are one name.
    expect(await load("slug,name,sku,price\nMug,MUG,A-1,3\n")).toMatchObject({ updated: 1 });
    expect(await load("slug,name,sku,price\ncup,Cup,A-1,2\n", { allowRename: true })).toMatchObject({
      updated: 1,
    });
    expect(await bySlug("cup")).toMatchObject({ name: "Cup", price: 200 });
  });
});

describe("rows without SKUs", () => {
  const FILE =
    "slug,name,price,options\nshirt,Shirt,10,Size=S|Colour=Red\nshirt,,11,Size=M|Colour=Red\nshirt,,12,Size=M|Colour=Blé\n";

  test("are variants that their options tell apart, and are found again", async () => {
    expect(await load(FILE)).toMatchObject({ created: 1, failed: 0 });
    const made = await bySlug("shirt");
    expect(made.variants.map(({ sku, price }) => [sku, price])).toEqual([
      ["SHIRT-S-RED", 1000],
      ["SHIRT-M-RED", 1100],
      [expect.stringMatching(/^SHIRT-M-BLE-[0-9A-F]{6}$/), 1200],
    ]);
    expect(await load(FILE)).toMatchObject({ unchanged: 1, failed: 0 });
    expect(await load(FILE.replace(",11,", ",15,"))).toMatchObject({ updated: 1 });
    expect((await bySlug("shirt")).variants.map(({ _id }) => _id)).toEqual(
      made.variants.map(({ _id }) => _id),
    );
  });

  test("are the variants that have their options already, whatever SKUs those have", async () => {
    await load(
      'slug,name,sku,price,options\nshirt,Shirt,ART-1,10,Size=S|Colour=Red\nshirt,,ART-2,11,"colour=red|size=m"\n',
    );
    expect(await load(FILE)).toMatchObject({ updated: 1, failed: 0 });
    expect(await pricesOf("shirt")).toEqual([
      ["ART-1", 1000, "USD"],
      ["ART-2", 1100, "USD"],
      [expect.any(String), 1200, "USD"],
    ]);
  });

  test("are faults when nothing tells them apart: no row is lost without a word", async () => {
    const twice = await load("slug,name,price\nshirt,Shirt,10\nshirt,Shirt,11\nshirt,,12\n");
    expect(twice).toMatchObject({ created: 1, updated: 0, failed: 2 });
    expect(twice.faults).toEqual([
      "3: is the product of row 2 again, without a SKU or options that tell it apart",
      "4: is the product of row 2 again, without a SKU or options that tell it apart",
    ]);
    const same = await load("slug,name,price,options\ncap,Cap,1,Size=S\ncap,,2,size= s\n");
    expect(same).toMatchObject({ created: 0, failed: 1 });
    expect(same.faults).toEqual(["3: options are those of another variant; give it a SKU"]);
  });

  test("many rows become as many variants or faults, never fewer", async () => {
    const rows = Array.from({ length: 120 }, (_, n) => `p${n % 10},P${n % 10},1,Size=${n}`).sort();
    const { created, failed } = await load(`slug,name,price,options\n${rows.join("\n")}\n`);
    const stored = (await t.deps.products.pageById(null, 100)).flatMap(({ variants }) => variants);
    expect([created, failed, stored.length]).toEqual([10, 0, 120]);
  });
});

describe("names and slugs", () => {
  test.each([
    ["ガラス と カラス", "ガラス-と-カラス"],
    ["हिन्दी की किताब", "हिन्दी-की-किताब"],
    ["น้ำปลา", "น้ำปลา"],
    ["Йод и Иод", "йод-и-иод"],
    ["Crème Brûlée, ΆΒΓ", "creme-brulee-αβγ"],
    ["soft\u00adhyphen\u200b", "softhyphen"],
    ["\u0301 mark", "mark"],
  ])("%s is %s in an address", (name, slug) => {
    expect(slugify(name)).toBe(slug.normalize("NFKD").normalize("NFC"));
    expect(slugify(slugify(name))).toBe(slugify(name));
  });

  test("categories of different names stay two, and are found again", async () => {
    const names = ["C++", "C#", "C", "Café", "cafe", "が", "か", "Йод", "Иод"];
    const file = lines(
      ...names.map((name, n) => ({ sku: `S-${n}`, name: `P ${n}`, price: 1, categories: [name] })),
    );
    expect(await load(file, { format: "ndjson" })).toMatchObject({ created: names.length, failed: 0 });
    expect((await t.deps.categories.all()).map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(await load(file, { format: "ndjson" })).toMatchObject({ unchanged: names.length });
    const chunks: Uint8Array[] = [];
    for await (const chunk of exportProducts(t.deps, { format: "ndjson" })) chunks.push(chunk);
    expect(await load(Buffer.concat(chunks), { format: "ndjson" })).toMatchObject({
      unchanged: names.length,
    });
    expect(await t.deps.categories.all()).toHaveLength(names.length);
    // The slug may stand for a name that it differs from in signs and spaces.
    await ndjson({ sku: "H-1", name: "H", price: 1, categories: ["Home & Garden"] });
    expect(await ndjson({ sku: "H-1", categories: ["home-garden"] })).toMatchObject({ unchanged: 1 });
  });

  test("a slug is found in the form in which it was stored", async () => {
    const file = "slug,name,price\nThe Mug!,Mug,1\nTASSE À CAFÉ,Tasse,2\n";
    expect(await load(file)).toMatchObject({ created: 2, failed: 0 });
    expect(await load(file)).toMatchObject({ unchanged: 2, failed: 0 });
    expect((await load("slug,name,price\n++,Plus,1\n")).faults).toEqual([
      "2: slug must hold a letter or a digit",
    ]);
  });

  test("what nobody sees makes no second SKU, brand or category", async () => {
    await ndjson({ sku: "AB-1", name: "P", price: 1, brand: "Fjell", categories: ["Light"] });
    await ndjson({ sku: "A\u200bB-1\u00ad\u200e\u2066\ufe0f", price: 2, categories: ["Li\u200dght"] });
    expect(await t.deps.products.findBySku("ab-1")).toMatchObject({ price: 200 });
    expect(await t.deps.categories.all()).toHaveLength(1);
  });
});

describe("spreadsheets", () => {
  test("an apostrophe that protects a code is taken off, whoever put it on", async () => {
    await load("name,sku,price,gtin,options\n'Tis a mug,'0012,'1.50,'4006381333931,\n");
    expect((await t.deps.products.findBySku("0012"))?.variants[0]).toMatchObject({
      sku: "0012",
      gtin: "4006381333931",
    });
    expect((await t.deps.products.findBySku("0012"))?.name).toBe("'Tis a mug");
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("'", "=", "-", "a", "0", "＋") }), (code) => {
        expect(bareCode(harmlessCode(code))).toBe(code);
        expect(harmlessCode(code)).not.toMatch(/^[=+\-@]/);
      }),
    );
  });

  test("rows of commas and empty columns at the end say nothing; a value in one is a fault", async () => {
    const file = "name,sku,price,,\nMug,M,1,,\n,,,,\n ,\t,,,\nCup,C,2,,\nJug,J,3,,lost\n";
    expect(await load(file)).toMatchObject({
      created: 2,
      failed: 1,
      faults: ["6: has 5 cells instead of 3"],
    });
    const between = await load("name,,sku,price\nJar,,J-1,1\nJam,x,J-2,1\n");
    expect(between).toMatchObject({ created: 1, faults: ["3: has a value in column 2, which has no name"] });
  });

  test.each([
    ["semicolons", "slug;name;sku;price\nmug;Mug, large;M;1,50\ncup;Cup;C;2\n"],
    ["bars", "slug|name|sku|price\nmug|Mug, large|M|1.50\ncup|Cup|C|2\n"],
    ["carriage returns alone", 'slug,name,sku,price\rmug,"Mug, large",M,1.50\rcup,Cup,C,2\r'],
    ["tabs", "slug\tname\tsku\tprice\nmug\tMug, large\tM\t1.50\ncup\tCup\tC\t2\n"],
  ])("%s", async (_, text) => {
    for (const bytes of [
      Buffer.from(text),
      Buffer.from(`\ufeff${text}`, "utf16le"),
      Buffer.from(text, "utf16le"),
      Buffer.from(`\ufeff${text}`, "utf16le").swap16(),
    ]) {
      const { created, unchanged, faults } = await load(bytes);
      expect([created + unchanged, faults]).toEqual([2, []]);
    }
    expect(await bySlug("mug")).toMatchObject({ name: "Mug, large", price: 150 });
  });

  const column = async (...prices: string[]) => {
    const rows = prices.map((price, n) => `p-${n};P ${n};S-${n};${price}`);
    const { faults } = await load(`slug;name;sku;price\n${rows.join("\n")}\n`);
    const read = [];
    for (const n of prices.keys()) {
      const product = await t.deps.products.findBySlug(`p-${n}`);
      read.push(product ? `${product.price} ${product.currency}` : null);
    }
    return { read, faults };
  };

  test.each([
    [
      "a decimal comma",
      ["1,5", "1.234,50", "1.234", "7"],
      ["150 USD", "123450 USD", "123400 USD", "700 USD"],
    ],
    ["thousands with commas", ["1,234.50", "1,234", "0.99"], ["123450 USD", "123400 USD", "99 USD"]],
    [
      "thousands with spaces and apostrophes",
      ["1 234,50", "1\u00a0234,5", "1'234,00"],
      ["123450 USD", "123450 USD", "123400 USD"],
    ],
    ["a sign of one currency", ["€ 49,90", "49,90 €", "EUR 5"], ["4990 EUR", "4990 EUR", "500 EUR"]],
    ["a sign that the shop's currency has", ["$5", "$1,234.50"], ["500 USD", "123450 USD"]],
  ])("%s is read when the column agrees", async (_, prices, read) => {
    expect(await column(...prices)).toEqual({ read, faults: [] });
  });

  test("what could mean two things is refused by name", async () => {
    const open = await column("1,234", "5");
    expect(open.read).toEqual([null, "500 USD"]);
    expect(open.faults).toEqual(['2: price "1,234" could mean 1234 or 1.234; write it without a comma']);
    // Of a currency with three decimals, or where the column says what its point is, it means one thing.
    const file =
      "slug,name,sku,price,currency,weight\na,A,A,1.200,EUR,1\nb,B,B,1.200,KWD,2.500\nc,C,C,1.200,KWD,2\n";
    expect((await load(file)).faults).toEqual([
      '2: price "1.200" could mean 1200 or 1.200; write it without a point',
      '3: weight "2.500" could mean 2500 or 2.500; write it without a point',
    ]);
    expect(await pricesOf("c")).toEqual([["C", 1200, "KWD"]]);
    expect((await column("1.200", "12.5")).read).toEqual(["120 USD", "1250 USD"]);
    const other = "slug;name;sku;price;weight\nd;D;D;1,50;1.234\n";
    expect((await load(other)).faults).toEqual([
      '2: weight "1.234" could mean 1234 or 1.234; write it without a point',
    ]);
    expect((await load("slug,name,sku,price\ne,E,4.00638E+12,1\n")).faults[0]).toStartWith(
      '2: sku "4.00638E+12" is a number that a spreadsheet shortened',
    );
  });

  test("a column that writes numbers in two ways is refused where it does", async () => {
    const both = await column("1,5", "2.75", "3");
    expect(both.read).toEqual([null, null, "300 USD"]);
    expect(both.faults[0]).toContain("a decimal comma in row 2 and a decimal point in row 3");
  });

  test("a sign that is not the currency of its row is refused", async () => {
    const file = "slug,name,sku,price,currency\na,A,A,€5,USD\nb,B,B,¥5,USD\nc,C,C,¥500,JPY\nd,D,D,$5,EUR\n";
    const { created, faults } = await load(file);
    expect(created).toBe(1);
    expect(faults).toEqual([
      "2: price says €, and the currency is USD",
      "3: price says ¥, and the currency is USD",
      "5: price says $, and the currency is EUR",
    ]);
    // The shop's currency is no answer for a product that has another.
    await load("slug,name,sku,price,currency\ne,E,E,5,EUR\n");
    expect((await load("sku,price\nE,$6\n")).faults).toEqual(["2: price says $, and the currency is EUR"]);
  });
});

import { beforeEach, describe, expect, test } from "bun:test";
import { useTestApp } from "../../../../test/app";
import { emptyDatabases } from "../../../../test/databases";
import { importProducts } from "../import";
import type { ImportProgress, Shop } from "../shapes";
import type { PictureWish } from "../told";
import { plainText } from "./html";

const t = useTestApp();
beforeEach(async () => {
  const { databaseUrl, mongodbUri } = t.deps.config;
  await emptyDatabases({ databaseUrl, mongodbUri });
});

async function load(
  from: Shop,
  content: string | Buffer,
  dryRun = false,
  more: { resume?: ImportProgress | undefined; onBatch?: (progress: ImportProgress) => void } = {},
) {
  const faults: string[] = [];
  const wishes: PictureWish[] = [];
  let stillOpen = 0;
  const open = async function* () {
    stillOpen++;
    try {
      // In two parts: whoever leaves after the header has not read it to its end.
      const bytes = Buffer.from(content);
      yield bytes.subarray(0, bytes.length - 1);
      yield bytes.subarray(bytes.length - 1);
    } finally {
      stillOpen--;
    }
  };
  const onPictures = async (found: PictureWish[]) => {
    wishes.push(...found);
    return 0;
  };
  const batches = { size: 10, atOnce: 1 };
  const options = { format: "csv" as const, from, dryRun, resume: more.resume, onPictures, batches };
  const result = await importProducts(t.deps, open, options, (progress, found) => {
    faults.push(...found.map(({ row, message }) => `${row}: ${message}`));
    more.onBatch?.(progress);
  });
  // Of a stored file a handle that nobody closes ends the process when it is collected.
  expect(stillOpen).toBe(0);
  return { ...result, faults, wishes };
}
const named = async (name: string) => {
  const product = (await t.deps.products.pageById(null, 100)).find((one) => one.name === name);
  if (!product) throw new Error(`no product ${name}`);
  const categories = await t.deps.categories.findByIds(product.categoryIds);
  return { ...product, paths: product.categoryIds.map((id) => categories.get(id)?.path) };
};
const variantsOf = ({
  variants,
}: {
  variants: { sku: string; price: number; compareAtPrice: number | null }[];
}) => variants.map(({ sku, price, compareAtPrice }) => [sku, price, compareAtPrice]);

const SHOPIFY = `Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Option3 Name,Option3 Value,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Barcode,Image Src,Image Position,Gift Card,SEO Title,Variant Weight Unit,Status
linen-shirt,Linen shirt,"<p>Soft &amp; <b>cool</b>.</p><script>alert(1)</script><ul><li>Washable</li></ul>",Fjell,Apparel & Accessories > Clothing > Shirts,Shirt,"summer, sale",TRUE,Size,S,Colour,White,,,LS-S-W,180,4,49.00,59.00,'4006381333931,https://cdn.example.com/a.jpg,1,FALSE,,g,active
linen-shirt,,,,,,,,,M,,White,,,,200,0,49.00,,internal-7,https://cdn.example.com/b.jpg,2,,,kg,
linen-shirt,,,,,,,,,,,,,,,,,,,,https://cdn.example.com/c.jpg,3,,,,
mug,Mug,,,,Kitchen,,TRUE,Title,Default Title,,,,,,350,1,12.50,,,,,FALSE,A mug,g,draft
`;

const WOO = `ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,Is featured?,Short description,Description,In stock?,Stock,Weight (kg),Sale price,Regular price,Categories,Tags,Images,Parent,Attribute 1 name,Attribute 1 value(s),Attribute 2 name,Attribute 2 value(s)
10,variable,HOOD,,Hoodie,1,0,,<p>Warm</p>,1,,,,,"Clothing > Hoodies, Sale",cotton,https://example.com/h.jpg,,Colour,"Red, Blue",Size,"M, L"
11,simple,CAP,4006381333931,Cap,0,0,Short,,1,5,0.2,9.5,12,Clothing,,,,,,,
12,variation,HOOD-R,,Hoodie - Red,1,0,,,1,3,0.7,,45,,,,HOOD,Colour,Red,Size,M
13,variation,,,Hoodie - Blue,1,0,,,1,3,0.7,40,45,,,,id:10,Colour,Blue,Size,L
14,grouped,SET,,Set,1,0,,,1,,,,,,,,,,,,
`;

const MEDUSA = `Product Id,Product Handle,Product Title,Product Description,Product Status,Product Type,Product Tag 1,Product Thumbnail,Variant Id,Variant Title,Variant SKU,Variant Barcode,Variant Weight,Variant Price EUR,Variant Price USD,Variant Option 1 Name,Variant Option 1 Value
prod_1,sweatpants,Sweatpants,Comfy,published,Trousers,new,https://example.com/t.jpg,variant_1,S,SP-S,,400,29.95,33.50,Size,S
prod_1,sweatpants,Sweatpants,Comfy,published,Trousers,new,https://example.com/t.jpg,variant_2,M,SP-M,,400,29.95,33.50,Size,M
prod_2,socks,Socks,,draft,,,,variant_3,One,SOCKS,,,5,,,
`;

describe("files of other shops", () => {
  test("Shopify: rows of variants and pictures, options, tags, HTML, barcodes, compare-at, status", async () => {
    const result = await load("shopify", SHOPIFY);
    expect(result).toMatchObject({ created: 2, failed: 0, faults: [] });
    const shirt = await named("Linen shirt");
    expect(shirt).toMatchObject({
      slug: "linen-shirt",
      brand: "Fjell",
      status: "active",
      description: "Soft & cool.\n\n- Washable",
      metadata: { tags: ["summer", "sale"] },
      paths: ["apparel-accessories/clothing/shirts"],
    });
    expect(variantsOf(shirt)).toEqual([
      ["LS-S-W", 4900, 5900],
      ["LINEN-SHIRT-M-WHITE", 4900, null],
    ]);
    expect(shirt.variants[0]).toMatchObject({
      gtin: "4006381333931",
      weight: 180,
      options: [
        { name: "Size", value: "S" },
        { name: "Colour", value: "White" },
      ],
    });
    expect(await named("Mug")).toMatchObject({
      status: "draft",
      paths: ["kitchen"],
      variants: [{ sku: "MUG", weight: 350, options: [] }],
    });
    expect(result.pictures?.found).toBe(3);
    expect(result.ignored).toMatchObject({
      "Variant Inventory Qty": 3,
      "SEO Title": 1,
      "barcodes that are no GTIN": 1,
    });
    expect(await load("shopify", SHOPIFY)).toMatchObject({ unchanged: 2, failed: 0 });
  });

  test("WooCommerce: variations by SKU or id of their parent, sale prices, categories, weights in kg", async () => {
    const result = await load("woocommerce", WOO);
    expect(result).toMatchObject({ created: 2, failed: 0, faults: [] });
    const hoodie = await named("Hoodie");
    expect(hoodie).toMatchObject({
      description: "Warm",
      status: "active",
      paths: ["clothing/hoodies", "sale"],
      metadata: { tags: ["cotton"] },
      variants: [
        {
          sku: "HOOD-R",
          price: 4500,
          weight: 700,
          options: [
            { name: "Colour", value: "Red" },
            { name: "Size", value: "M" },
          ],
        },
        {
          price: 4000,
          compareAtPrice: 4500,
          options: [
            { name: "Colour", value: "Blue" },
            { name: "Size", value: "L" },
          ],
        },
      ],
    });
    expect(await named("Cap")).toMatchObject({
      status: "draft",
      description: "Short",
      variants: [{ sku: "CAP", price: 950, compareAtPrice: 1200, gtin: "4006381333931", weight: 200 }],
    });
    expect(result.ignored).toMatchObject({ Stock: 3, "products of the type grouped": 1 });
    expect(await load("woocommerce", WOO)).toMatchObject({ unchanged: 2, failed: 0 });
  });

  test("Shopify: rows of one product that a spreadsheet sorted apart are its variants", async () => {
    const file = [
      "Handle,Title,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price",
      "a,A,TRUE,Size,S,A-1,10",
      "b,B,TRUE,Title,Default Title,B-1,5",
      "a,,,,M,A-2,11",
    ].join("\n");
    expect(await load("shopify", file)).toMatchObject({ created: 2, updated: 1, failed: 0 });
    expect((await named("A")).variants.map(({ sku, options }) => [sku, options[0]?.name])).toEqual([
      ["A-1", "Size"],
      ["A-2", "Size"],
    ]);
  });

  test("WooCommerce: products of one name without SKUs stay two, and are found again by their ids", async () => {
    const file = (categories: string, name = "Cap") =>
      [
        "ID,Type,SKU,Name,Published,Regular price,Categories,Parent,Attribute 1 name,Attribute 1 value(s)",
        "1,simple,,Gift,1,'10,X,,,",
        "2,simple,,Gift,1,20,X,,,",
        `3,variable,,${name},1,,${categories},,Colour,Red`,
        "4,variation,,Cap - Red,1,5,,id:3,Colour,Red",
        `5,variable,,${name},1,,${categories},,Colour,Red`,
        "6,variation,,Cap - Red,1,9,,id:5,Colour,Red",
        "7,variable,'0012,Hat,1,,A &gt; B,,Colour,Red",
        "8,variation,,Hat - Red,1,9,,'0012,Colour,Red",
      ].join("\n");
    expect(await load("woocommerce", file("X"))).toMatchObject({ created: 5, failed: 0 });
    expect(await named("Hat")).toMatchObject({ paths: ["a-b"], variants: [{ sku: "0012-RED" }] });
    expect(await load("woocommerce", file("Y"))).toMatchObject({ updated: 2, unchanged: 3 });
    expect(await load("woocommerce", file("Y", "Cap 2"))).toMatchObject({ created: 0, failed: 2 });
    expect(await t.deps.products.count()).toBe(5);
  });

  test("Medusa: prices in the shop's currency, the others are told", async () => {
    const result = await load("medusa", MEDUSA);
    expect(result).toMatchObject({ created: 2, failed: 0, faults: [] });
    const pants = await named("Sweatpants");
    expect(pants).toMatchObject({
      slug: "sweatpants",
      status: "active",
      currency: "USD",
      paths: ["trousers"],
    });
    expect(variantsOf(pants)).toEqual([
      ["SP-S", 3350, null],
      ["SP-M", 3350, null],
    ]);
    expect(await named("Socks")).toMatchObject({ status: "draft", currency: "EUR", price: 500 });
    expect(result.ignored).toMatchObject({ "prices in EUR": 2, "Product Id": 3 });
    expect(await load("medusa", MEDUSA)).toMatchObject({ unchanged: 2, failed: 0 });
  });

  test("a dry run changes nothing; a file of something else is refused by name", async () => {
    const dry = await load("shopify", SHOPIFY, true);
    expect(dry).toMatchObject({ created: 2, failed: 0, pictures: { found: 3, there: 0, added: 0 } });
    expect(dry.samples).toMatchObject([
      {
        ...{ row: 2, outcome: "created", slug: "linen-shirt", name: "Linen shirt", status: "active" },
        ...{ brand: "Fjell", categories: [["Apparel & Accessories", "Clothing", "Shirts"]], pictures: 3 },
        variants: [
          { sku: "LS-S-W", price: "49.00", currency: "USD", options: ["Size=S", "Colour=White"] },
          { sku: "LINEN-SHIRT-M-WHITE", price: "49.00" },
        ],
      },
      { row: 5, slug: "mug", status: "draft", pictures: 0 },
    ]);
    expect(await t.deps.products.count()).toBe(0);
    const { faults } = await load("woocommerce", SHOPIFY);
    expect(faults).toEqual(['1: is no export of woocommerce: the column "Name" is not there']);
    expect((await load("shopify", WOO)).faults).toEqual([
      '1: is no export of shopify: the column "Handle" is not there',
    ]);
    const unreadable = Buffer.concat([Buffer.from([0x48, 0xff, 0xfe, 0x0a]), Buffer.from(SHOPIFY)]);
    expect((await load("shopify", unreadable)).faults).toHaveLength(1);
    const bad = await load("shopify", SHOPIFY.replace("12.50", "cheap"));
    expect(bad).toMatchObject({ created: 1, failed: 1, kinds: [{ count: 1, row: 5 }] });
    expect(bad.faults[0]).toStartWith("5: price must be a number");
  });

  test("Shopify, as it names its columns now, in any case, with a mark and CRLF; pictures alone and odd rows", async () => {
    const rows = [
      "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,Option1 name,Option1 value,Price,Compare-at price,Weight value (grams),Product image URL,Image position,Image alt text,Variant image URL,Gift card,Color (product.metafields.shopify.color-pattern)",
      'Bag,bag,"<p>Line one\r\nline &quot;two&quot;</p>",Fjell,Luggage,Bags,"a, ""b"", a",TRUE,Active,,,Colour,Red,"10.00",,100,https://x.example/2.jpg,2,Back,https://x.example/red.jpg,FALSE,red',
      ",bag,,,,,,,,,,,Blue,11.00,12.00,,https://x.example/1.jpg,1,Front,https://x.example/2.jpg,,",
      ",bag,,,,,,,,,,,,,,,https://x.example/3.jpg,3,,,,",
      ",bag,,,,,,,,BAG-X,,,Green,,,,,,,,,",
      ",,,,,,,,,,,,,1.00,,,,,,,,",
      "Hidden,hidden,,,,,,FALSE,Active,HID,,Title,Default Title,1,,,,,,,,",
      "Unlisted,unlisted,,,,,,TRUE,Unlisted,UNL,,Title,Default Title,1,,,,,,,,",
    ];
    const result = await load("shopify", `\ufeff${rows.join("\r\n")}\r\n`);
    // A variant without a price is no picture: its product is refused as a whole.
    expect(result).toMatchObject({ created: 2, failed: 2 });
    expect(result.faults).toEqual(["5: price is needed for a new variant", "6: Handle is needed"]);
    expect(await named("Hidden")).toMatchObject({ status: "draft", variants: [{ options: [] }] });
    expect(await named("Unlisted")).toMatchObject({ status: "draft" });
    const right = await load("shopify", rows.filter((_, index) => index !== 4 && index !== 5).join("\n"));
    expect(right).toMatchObject({ created: 1, unchanged: 2, failed: 0, pictures: { found: 4 } });
    const bag = await named("Bag");
    expect(bag).toMatchObject({
      description: 'Line one\nline "two"',
      metadata: { tags: ["a", '"b"'] },
      paths: ["luggage"],
    });
    expect(variantsOf(bag)).toEqual([
      ["BAG-RED", 1000, null],
      ["BAG-BLUE", 1100, 1200],
    ]);
    const [red, blue] = bag.variants.map(({ _id }) => _id);
    expect(right.wishes.map(({ address, alt, variantIds, row }) => [address, alt, variantIds, row])).toEqual([
      ["https://x.example/1.jpg", "Front", [], 3],
      ["https://x.example/2.jpg", "Back", [blue ?? ""], 2],
      ["https://x.example/3.jpg", "", [], 4],
      ["https://x.example/red.jpg", "", [red ?? ""], 2],
    ]);
    expect(right.ignored).toEqual({
      "Gift card": 1,
      "Color (product.metafields.shopify.color-pattern)": 1,
      "Type beside a Product Category": 1,
      "active products that are not published, which become drafts": 1,
      "unlisted products, which become drafts": 1,
    });
  });

  test("WooCommerce: variations before their parent or far behind it, decimal commas, entities, sales that are over", async () => {
    t.clock.set("2026-06-15T12:00:00Z");
    const file = `ID,Type,SKU,Name,Published,"Visibility in catalog",Description,"Date sale price starts","Date sale price ends","Weight (lbs)","Sale price","Regular price",Categories,Images,Parent,Brands,"Attribute 1 name","Attribute 1 value(s)"
5,variation,,Cap - Red,1,visible,,,,0.5,,"10,50",,https://x.example/r.jpg,id:9,,Colour,Red
9,variable,,"Cap &amp; more",1,visible,"One\\nTwo \\\\n",,,,,,"Hats\\, caps > Wool, Sale","https://x.example/a\\,b.jpg, https://x.example/c.jpg",,"Fjell, Other",Colour,"Red, Dark\\, blue"
1,simple,S1,Old sale,1,visible,,2026-01-01 00:00:00,2026-06-14 23:59:59,,"5,00","8,00",,,,,Material,"Wool, Felt"
2,simple,S2,Sale today,1,visible,,2026-06-15 00:00:00,,,"5,00","8,00",,,,,,
3,simple,S3,No price,1,hidden,,,,,,,,,,,,
4,"simple, virtual",S4,Hidden,1,hidden,,,,,,"1.234,00",,,,,,
6,variation,,Orphan,1,visible,,,,,,1,,,NOBODY,,Colour,Red
7,external,E,Elsewhere,1,visible,,,,,,1,,,,,,
10,variation,,"Cap - Dark, blue",1,visible,,,,,,"11,00",,,id:9,,Colour,"Dark\\, blue"
8,simple,'-S5,'=Minus,-1,visible,,,,,,"1,00",,,,,,
`;
    const result = await load("woocommerce", file);
    expect(result).toMatchObject({ created: 5, failed: 2 });
    expect(result.faults).toEqual([
      "6: price is needed for a new variant",
      '8: its parent "NOBODY" is not in the file',
    ]);
    const cap = await named("Cap & more");
    expect(cap).toMatchObject({
      description: "One\nTwo \\n",
      brand: "Fjell",
      paths: ["hats-caps/wool", "sale"],
      variants: [
        { price: 1050, weight: 226.796, options: [{ name: "Colour", value: "Red" }] },
        { price: 1100, options: [{ name: "Colour", value: "Dark, blue" }] },
      ],
    });
    expect(result.wishes.map(({ address, variantIds }) => [address, variantIds])).toEqual([
      ["https://x.example/a,b.jpg", []],
      ["https://x.example/c.jpg", []],
      ["https://x.example/r.jpg", [cap.variants[0]?._id ?? ""]],
    ]);
    expect(variantsOf(await named("Old sale"))).toEqual([["S1", 800, null]]);
    expect(await named("Old sale")).toMatchObject({ metadata: { attributes: { Material: "Wool, Felt" } } });
    expect(variantsOf(await named("Sale today"))).toEqual([["S2", 500, 800]]);
    expect(await named("Hidden")).toMatchObject({ status: "draft", price: 123400 });
    expect(await named("=Minus")).toMatchObject({ status: "draft", variants: [{ sku: "-S5" }] });
    expect(result.ignored).toEqual({
      "sale prices whose time is not now": 1,
      "products that are hidden from the catalogue, which become drafts": 2,
      "products of the type external": 1,
      "brands beside the first": 1,
    });
  });

  test("what could mean two things is refused by name; a bad row or the end of the file takes nothing else along", async () => {
    const file = [
      "Type,SKU,Name,Regular price",
      'simple,A,One,"1,234"',
      "simple,B,Two,2",
      Buffer.from("simple,C,Caf\xe9,3", "latin1"),
      'simple,D,"Open,4',
    ];
    const bytes = Buffer.concat(file.map((line) => Buffer.concat([Buffer.from(line), Buffer.from("\n")])));
    const result = await load("woocommerce", bytes);
    expect(result).toMatchObject({ created: 1, failed: 3 });
    expect(result.faults).toEqual([
      '2: Regular price "1,234" could mean 1234 or 1.234; write it without a comma',
      "4: Name is not UTF-8",
      "5: has a quotation mark that is not closed",
    ]);
    // The same by tabs, and in UTF-16 as spreadsheets save it.
    const tabs = Buffer.from("\ufeffType\tSKU\tName\tRegular price\nsimple\tB\tTwo\t2\n", "utf16le");
    expect(await load("woocommerce", tabs)).toMatchObject({ unchanged: 1, failed: 0 });
    const open = `Handle,Title,Variant Price\nfirst,First,1\nsecond,"Second,2\n`;
    expect(await load("shopify", open)).toMatchObject({ created: 1, failed: 1 });
  });

  test("Medusa: as version 1 and 2 write it, pictures, ids of categories, several options", async () => {
    const two = `Product Id;Product Handle;Product Title;Product Status;Product Type Id;Product Thumbnail;Product Image 1;Product Image 2;Product Category 1;Variant Sku;Variant Ean;Variant Price EUR;Variant Price Europe [EUR];Variant Option 1 Id;Variant Option 1 Name;Variant Option 1 Value;Variant Option 2 Name;Variant Option 2 Value;Variant Image 1
p1;shirt;Shirt;published;ptyp_1;https://x.example/1.jpg;https://x.example/1.jpg;https://x.example/2.jpg;pcat_01HX;;4006381333931;10.5;9;opt_1;Size;S;Colour;Red;https://x.example/2.jpg
p1;shirt;Shirt;published;ptyp_1;https://x.example/1.jpg;https://x.example/1.jpg;https://x.example/2.jpg;pcat_01HX;;;10.5;9;opt_1;Size;S;Colour;Blue;
p2;empty;Empty;published;;;;;;;;;;;;;;;
`;
    const result = await load("medusa", two);
    expect(result).toMatchObject({ created: 1, failed: 1 });
    expect(result.faults[0]).toStartWith("4: price is needed");
    const shirt = await named("Shirt");
    expect(shirt).toMatchObject({ currency: "EUR", paths: [], categoryIds: [] });
    expect(shirt.variants.map(({ sku, gtin }) => [sku, gtin])).toEqual([
      ["SHIRT-S-RED", "4006381333931"],
      ["SHIRT-S-BLUE", null],
    ]);
    expect(result.wishes.map(({ address, variantIds }) => [address, variantIds.length])).toEqual([
      ["https://x.example/1.jpg", 0],
      ["https://x.example/2.jpg", 1],
    ]);
    expect(result.ignored).toMatchObject({
      "categories by their ids": 1,
      "Variant Price Europe [EUR]": 2,
      "Product Type Id": 2,
    });
    const one =
      "Product Handle,Product Title,Product Status,Product Tags,Price USD,Option 1 Name,Option 1 Value,Image 1 Url\n" +
      'cup,Cup,draft,"a,b",5,Size,Big,https://x.example/cup.jpg\n';
    expect(await load("medusa", one)).toMatchObject({ created: 1, pictures: { found: 1 } });
    expect(await named("Cup")).toMatchObject({
      metadata: { tags: ["a", "b"] },
      variants: [{ sku: "CUP-BIG" }],
    });
  });

  test("an import that was interrupted goes on behind the last batch, though products come in another order", async () => {
    const simple = (n: number) => `${1000 + n},simple,S-${n},Simple ${n},${n + 1},,,`;
    const file = `ID,Type,SKU,Name,Regular price,Parent,Attribute 1 name,Attribute 1 value(s)
1,variable,V,Various,,,Size,"S, M"
${Array.from({ length: 24 }, (_, n) => simple(n)).join("\n")}
2,variation,V-S,Various - S,5,V,Size,S
`;
    const saved: ImportProgress[] = [];
    const died = new Error("died");
    const steps = (progress: ImportProgress) => {
      saved.push(progress);
      if (saved.length === 2) throw died;
    };
    await expect(load("woocommerce", file, false, { onBatch: steps })).rejects.toBe(died);
    const [resume] = saved;
    expect(resume).toMatchObject({ created: 10, lines: 10 });
    const rest = await load("woocommerce", file, false, { resume });
    // What was written and not recorded is unchanged; the sums are those of the whole file.
    expect(rest).toMatchObject({ created: 15, unchanged: 10, failed: 0, lines: 25 });
    expect(await t.deps.products.count()).toBe(25);
    expect(await named("Various")).toMatchObject({ variants: [{ sku: "V-S", price: 500 }] });
  });
});

test("a path of categories that lacks a name is a fault, not a shorter path", async () => {
  const rows = [
    "Type,Name,SKU,Regular price,Categories",
    "simple,Lamp,L-1,10,Home > > Light",
    "simple,Chair,C-1,10,Home > Chairs",
    "simple,Mug,M-1,10,",
  ];
  const { created, faults } = await load("woocommerce", rows.join("\n"));
  expect([created, faults]).toEqual([2, [expect.stringMatching(/^2: categories\.0\.1 /)]]);
});

describe("descriptions", () => {
  test.each([
    ["<p>One</p><p>Two<br>three</p>", "One\nTwo\nthree"],
    ["a &lt;b&gt; &amp;amp; &#8364;&#x20ac; &unknown;", "a <b> &amp; €€ &unknown;"],
    ["<style>p{}</style>x<!-- c --><script>y</script", "x"],
    ["2 < 3 and 4 > 1", "2 < 3 and 4 > 1"],
    ['<img alt="a > b" src="x">pic', "pic"],
    ["<li class='x > y'>one<li>two", "- one\n- two"],
    ['<p title="open>text</p>', "text"],
    ["<img src=x onerror=alert(1)>pic", "pic"],
    ["caf&eacute; &frac12;&#1;&nbsp;&rsquo;", "café ½ ’"],
  ])("%s", (html, text) => {
    expect(plainText(html)).toBe(text);
  });

  test("tags whose quotes never pair are read in good time", () => {
    expect(plainText('<a href="'.repeat(50_000))).toBe("");
    expect(plainText(`${"<a href=\"'".repeat(50_000)}>x`)).toBe("x");
  }, 20_000);
});

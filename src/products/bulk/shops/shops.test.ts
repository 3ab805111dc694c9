import { beforeEach, describe, expect, test } from "bun:test";
import { useTestApp } from "../../../../test/app";
import { emptyDatabases } from "../../../../test/databases";
import { importProducts } from "../import";
import type { Shop } from "../shapes";
import { plainText } from "./html";

const t = useTestApp();
beforeEach(async () => {
  const { databaseUrl, mongodbUri } = t.deps.config;
  await emptyDatabases({ databaseUrl, mongodbUri });
});

async function load(from: Shop, content: string, dryRun = false) {
  const faults: string[] = [];
  const open = async function* () {
    yield Buffer.from(content);
  };
  const result = await importProducts(t.deps, open, { format: "csv", from, dryRun }, (_, found) => {
    faults.push(...found.map(({ row, message }) => `${row}: ${message}`));
  });
  return { ...result, faults };
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
    expect(result.ignored).toMatchObject({ "Image Src": 3, "SEO Title": 1, "barcodes that are no GTIN": 1 });
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
    expect(result.ignored).toMatchObject({ Images: 1, Stock: 3, "products of the type grouped": 1 });
    expect(await load("woocommerce", WOO)).toMatchObject({ unchanged: 2, failed: 0 });
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
    expect(result.ignored).toMatchObject({ "prices in EUR": 2, "Product Thumbnail": 2 });
    expect(await load("medusa", MEDUSA)).toMatchObject({ unchanged: 2, failed: 0 });
  });

  test("a dry run changes nothing; a file of something else is refused by name", async () => {
    expect(await load("shopify", SHOPIFY, true)).toMatchObject({ created: 2, failed: 0 });
    expect(await t.deps.products.count()).toBe(0);
    const { faults } = await load("woocommerce", SHOPIFY);
    expect(faults).toEqual(['1: is no export of woocommerce: the column "Name" is not there']);
    const bad = await load("shopify", SHOPIFY.replace("12.50", "cheap"));
    expect(bad).toMatchObject({ created: 1, failed: 1 });
    expect(bad.faults[0]).toStartWith("5: price must be a number");
  });
});

describe("descriptions", () => {
  test.each([
    ["<p>One</p><p>Two<br>three</p>", "One\nTwo\nthree"],
    ["a &lt;b&gt; &amp;amp; &#8364;&#x20ac; &unknown;", "a <b> &amp; €€ &unknown;"],
    ["<style>p{}</style>x<!-- c --><script>y</script", "x"],
    ["2 < 3 and 4 > 1", "2 < 3 and 4 > 1"],
    ["<img src=x onerror=alert(1)>pic", "pic"],
  ])("%s", (html, text) => {
    expect(plainText(html)).toBe(text);
  });
});

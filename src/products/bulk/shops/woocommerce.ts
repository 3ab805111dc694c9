/** The CSV that WooCommerce exports: one row a product or a variation, which names its parent by SKU or id. */
import { plainText } from "./html";
import {
  filled,
  gramsOf,
  gtinOf,
  listOf,
  type OnIgnored,
  pathOf,
  type ShopProduct,
  type ShopReader,
  type ShopRow,
  type ShopVariant,
} from "./shop";

const COLUMNS =
  /^(?:ID|Type|SKU|GTIN, UPC, EAN, or ISBN|Name|Published|Short description|Description|Weight \(\w+\)|Sale price|Regular price|Categories|Tags|Parent|Brands|Attribute \d+ (?:name|value\(s\)))$/;
const UNITS = ["kg", "g", "lbs", "oz"];
const PLACES = Array.from({ length: 10 }, (_, index) => index + 1);

const attributesOf = (row: ShopRow): { name: string; value: string }[] =>
  PLACES.flatMap((place) => {
    const [name, value] = [row.get(`Attribute ${place} name`), row.get(`Attribute ${place} value(s)`)];
    return name === "" || value === "" ? [] : [{ name, value }];
  });

function productOf(row: ShopRow): Record<string, unknown> {
  const tags = listOf(row.get("Tags"));
  const categories = listOf(row.get("Categories")).map(pathOf);
  const published = row.get("Published");
  return filled({
    name: row.get("Name"),
    description: plainText(row.get("Description") || row.get("Short description")),
    brand: listOf(row.get("Brands"))[0],
    status: published === "" ? undefined : published === "1" ? "active" : "draft",
    categories: categories.length > 0 ? categories : undefined,
    metadata: tags.length > 0 ? { tags } : undefined,
  });
}

function variantOf(row: ShopRow, onIgnored: OnIgnored): ShopVariant {
  const [regular, sale] = [row.get("Regular price"), row.get("Sale price")];
  const [unit = "kg"] = UNITS.filter((one) => row.get(`Weight (${one})`) !== "");
  return filled({
    sku: row.get("SKU").replace(/^'/, ""),
    price: sale || regular,
    compareAtPrice: sale === "" ? undefined : regular,
    gtin: gtinOf(row.get("GTIN, UPC, EAN, or ISBN"), onIgnored),
    weight: gramsOf(row.get(`Weight (${unit})`), unit, { point: 1 }),
  });
}

interface Parent {
  row: ShopRow;
  variations: ShopRow[];
}

/** Variations may stand anywhere behind their parents, so those are kept until the end of the file. */
export const woocommerce: ShopReader = {
  needs: ["Type", "Name", "Regular price"],
  knows: (column) => COLUMNS.test(column),
  async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
    const parents = new Map<string, Parent>();
    const order: Parent[] = [];
    for await (const row of rows) {
      const type = row.get("Type").toLowerCase();
      if (type.startsWith("variation")) {
        const parent = parents.get(row.get("Parent"));
        if (parent) parent.variations.push(row);
        else onIgnored("variations without a parent before them");
      } else if (type.startsWith("simple")) {
        const { row: place, size } = row;
        const value = { ...productOf(row), variants: [variantOf(row, onIgnored)] };
        yield { value, rows: [place], last: place, size };
      } else if (type.startsWith("variable")) {
        const parent = { row, variations: [] };
        order.push(parent);
        for (const key of [row.get("SKU"), `id:${row.get("ID")}`]) if (key !== "") parents.set(key, parent);
      } else onIgnored(`products of the type ${type.slice(0, 30)}`);
    }
    for (const { row, variations } of order) {
      const variants = variations.map((variation) => ({
        ...variantOf(variation, onIgnored),
        options: attributesOf(variation),
      }));
      yield {
        value: { ...productOf(row), variants },
        rows: variations.map((variation) => variation.row),
        last: Math.max(row.row, ...variations.map((variation) => variation.row)),
        size: row.size + variations.reduce((sum, { size }) => sum + size, 0),
      };
    }
  },
};

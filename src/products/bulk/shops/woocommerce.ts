/** The CSV that WooCommerce exports: one row a product or a variation, which names its parent by SKU or id. */
import { bareCode } from "../cells";
import { skuWithOptions } from "../skus";
import { decoded, plainText } from "./html";
import {
  addPicture,
  begin,
  filled,
  gramsOf,
  gtinOf,
  listOf,
  metadataOf,
  type OnIgnored,
  pathOf,
  type ShopProduct,
  type ShopReader,
  type ShopRow,
  type ShopVariant,
  take,
} from "./shop";

const COLUMNS =
  /^(?:ID|Type|SKU|GTIN, UPC, EAN, or ISBN|Name|Published|Visibility in catalog|Short description|Description|Weight \((?:kg|g|lbs|oz)\)|Date sale price (?:starts|ends)|Sale price|Regular price|Categories|Tags|Images|Parent|Brands|Attribute \d+ (?:name|value\(s\)))$/i;
const UNITS = ["kg", "g", "lbs", "oz"];
const PLACES = Array.from({ length: 30 }, (_, index) => index + 1);

const parentOf = (row: ShopRow): string => bareCode(row.get("Parent"));

/** Line breaks of descriptions are written as a backslash and an n. */
const unescaped = (text: string): string =>
  text.replace(/\\\\n|\\n/g, (mark) => (mark.length === 2 ? "\n" : "\\n"));

const attributesOf = (row: ShopRow): { name: string; values: string[] }[] =>
  PLACES.flatMap((place) => {
    const name = row.get(`Attribute ${place} name`);
    const values = listOf(row.get(`Attribute ${place} value(s)`)).map(decoded);
    return name === "" || values.length === 0 ? [] : [{ name, values }];
  });

const optionsOf = (row: ShopRow) =>
  attributesOf(row).map(({ name, values }) => ({ name, value: values.join(", ") }));

function statusOf(row: ShopRow, onIgnored: OnIgnored): string | undefined {
  const published = row.get("Published");
  if (published === "") return undefined;
  if (published !== "1") return "draft";
  if (row.get("Visibility in catalog").toLowerCase() !== "hidden") return "active";
  onIgnored("products that are hidden from the catalogue, which become drafts");
  return "draft";
}

/** @param options names of what tells variations apart; other attributes are the product's own */
function productOf(row: ShopRow, options: Set<string>, onIgnored: OnIgnored): Record<string, unknown> {
  const categories = listOf(row.get("Categories")).map((path) => pathOf(path).map(decoded));
  const [brand, ...brands] = listOf(row.get("Brands")).map(decoded);
  if (brands.length > 0) onIgnored("brands beside the first");
  const attributes = attributesOf(row).filter(({ name }) => !options.has(name));
  const attrs = Object.fromEntries(attributes.map(({ name, values }) => [name, values.join(", ")]));
  return filled({
    name: decoded(row.get("Name")),
    description: plainText(unescaped(row.get("Description") || row.get("Short description"))),
    brand,
    status: statusOf(row, onIgnored),
    categories: categories.length > 0 ? categories : undefined,
    metadata: metadataOf(
      listOf(row.get("Tags")).map(decoded),
      attributes.length === 0 ? {} : { attributes: attrs },
    ),
  });
}

/** Whether a sale is on. Times are the shop's own, which a file does not name: read as UTC, a day is what counts. */
function isOnSale(row: ShopRow, now: Date): boolean {
  const [starts, ends] = ["starts", "ends"].map((end) => {
    const [date] = /^\d{4}-\d{2}-\d{2}/.exec(row.get(`Date sale price ${end}`)) ?? [];
    return date;
  });
  const today = now.toISOString().slice(0, 10);
  return (starts === undefined || starts <= today) && (ends === undefined || ends >= today);
}

/** What identifies a product in its file and in later exports; empty when nothing does. */
const identityOf = (row: ShopRow): string =>
  bareCode(row.get("SKU")) || (row.get("ID") === "" ? "" : `WC-${row.get("ID")}`);

/** The SKU of a variant; one without has its product's identity, and its options. Names repeat and change. */
function skuOf(row: ShopRow, product: ShopRow, options: NonNullable<ShopVariant["options"]>): string {
  const own = bareCode(row.get("SKU"));
  const identity = identityOf(product);
  return own === "" && identity !== "" ? skuWithOptions(identity, options) : own;
}

function variantOf(row: ShopRow, product: ShopRow, now: Date, onIgnored: OnIgnored): ShopVariant {
  const options = row === product ? [] : optionsOf(row);
  const [regular, reduced] = [row.number("Regular price"), row.number("Sale price")];
  if (reduced !== "" && !isOnSale(row, now)) onIgnored("sale prices whose time is not now");
  const sale = isOnSale(row, now) ? reduced : "";
  const [unit = "kg"] = UNITS.filter((one) => row.get(`Weight (${one})`) !== "");
  const variant = filled({
    sku: skuOf(row, product, options),
    price: sale || regular,
    compareAtPrice: sale === "" || sale === regular ? undefined : regular,
    gtin: gtinOf(row.get("GTIN, UPC, EAN, or ISBN"), onIgnored),
    weight: gramsOf(row.number(`Weight (${unit})`), unit),
  });
  return options.length === 0 ? variant : { ...variant, options };
}

/** A variable product and its variations, which may stand before it or far behind. */
interface Family {
  parent?: ShopRow;
  variations: ShopRow[];
}

const keysOf = (row: ShopRow): string[] =>
  [bareCode(row.get("SKU")), `id:${row.get("ID")}`].filter((key) => key !== "" && key !== "id:");

export function woocommerce(now: Date): ShopReader {
  /** The last row of those that name a parent. */
  const last = new Map<string, number>();
  const isVariation = (row: ShopRow) => row.get("Type").toLowerCase().startsWith("variation");

  function productWith(parent: ShopRow, variations: ShopRow[], onIgnored: OnIgnored): ShopProduct {
    const options = new Set(variations.flatMap((row) => attributesOf(row).map(({ name }) => name)));
    const product = begin(productOf(parent, options, onIgnored), parent);
    take(product, parent);
    for (const address of listOf(parent.get("Images"))) addPicture(product, parent.row, address);
    for (const row of variations) {
      const variant = product.variants.push(variantOf(row, parent, now, onIgnored)) - 1;
      product.rows.push(row.row);
      for (const address of listOf(row.get("Images"))) addPicture(product, row.row, address, "", variant);
      take(product, row);
    }
    return product;
  }

  function simpleOf(row: ShopRow, onIgnored: OnIgnored): ShopProduct {
    const product = productWith(row, [], onIgnored);
    product.variants.push(variantOf(row, row, now, onIgnored));
    product.rows.push(row.row);
    // The variant's numbers were read behind the product's own cells.
    product.faults = row.faults.map((fault) => ({ row: row.row, fault }));
    return product;
  }

  return {
    needs: [["Type"], ["Name"], ["Regular price"]],
    knows: (column) => COLUMNS.test(column),
    survey(row) {
      if (isVariation(row)) last.set(parentOf(row), row.row);
    },
    async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
      const families = new Map<string, Family>();
      for await (const row of rows) {
        const type = row.get("Type").toLowerCase();
        let touched: Family | undefined;
        if (isVariation(row)) {
          const key = parentOf(row);
          touched = families.get(key) ?? { variations: [] };
          touched.variations.push(row);
          families.set(key, touched);
        } else if (type.startsWith("variable")) {
          const keys = keysOf(row).filter((key) => families.get(key)?.parent === undefined);
          const before = keys.flatMap((key) => families.get(key)?.variations ?? []);
          touched = { parent: row, variations: before };
          for (const key of keys) families.set(key, touched);
        } else if (type.startsWith("simple")) yield simpleOf(row, onIgnored);
        else onIgnored(`products of the type ${type.slice(0, 30) || "(none)"}`);
        if (touched?.parent === undefined) continue;
        const { parent, variations } = touched;
        if (keysOf(parent).some((key) => (last.get(key) ?? 0) > row.row)) continue;
        for (const key of keysOf(parent)) if (families.get(key) === touched) families.delete(key);
        yield productWith(parent, variations, onIgnored);
      }
      for (const { variations } of new Set(families.values())) {
        for (const row of variations) {
          const product = begin({}, row);
          const fault = `its parent "${parentOf(row).slice(0, 100)}" is not in the file`;
          product.faults.push({ row: row.row, fault });
          yield product;
        }
      }
    },
  };
}

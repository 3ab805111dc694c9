/** The CSV that Shopify exports: one row a variant or a picture, by handle; the product's own cells in its first row. */
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

const COLUMNS = new Set([
  "Handle",
  "Title",
  "Body (HTML)",
  "Vendor",
  "Product Category",
  "Type",
  "Tags",
  "Published",
  "Status",
  "Option1 Name",
  "Option1 Value",
  "Option2 Name",
  "Option2 Value",
  "Option3 Name",
  "Option3 Value",
  "Variant SKU",
  "Variant Grams",
  "Variant Price",
  "Variant Compare At Price",
  "Variant Barcode",
]);

function statusOf(row: ShopRow): string | undefined {
  const status = row.get("Status").toLowerCase();
  if (status !== "") return status;
  const published = row.get("Published").toLowerCase();
  return published === "" ? undefined : published === "true" ? "active" : "draft";
}

function productOf(first: ShopRow): Record<string, unknown> {
  const [category, type] = [pathOf(first.get("Product Category")), first.get("Type")];
  const tags = listOf(first.get("Tags"));
  return filled({
    slug: first.get("Handle"),
    name: first.get("Title"),
    description: plainText(first.get("Body (HTML)")),
    brand: first.get("Vendor"),
    status: statusOf(first),
    categories: category.length > 0 ? [category] : type === "" ? undefined : [[type]],
    metadata: tags.length > 0 ? { tags } : undefined,
  });
}

function variantOf(first: ShopRow, row: ShopRow, onIgnored: OnIgnored): ShopVariant {
  const options = [1, 2, 3].flatMap((place) => {
    const [name, value] = [first.get(`Option${place} Name`), row.get(`Option${place} Value`)];
    // What a product without options has.
    return value === "" || (name === "Title" && value === "Default Title") ? [] : [{ name, value }];
  });
  return {
    ...filled({
      sku: row.get("Variant SKU").replace(/^'/, ""),
      price: row.get("Variant Price"),
      compareAtPrice: row.get("Variant Compare At Price"),
      gtin: gtinOf(row.get("Variant Barcode"), onIgnored),
      weight: gramsOf(row.get("Variant Grams"), "g", { point: 1 }),
    }),
    ...(options.length === 0 ? {} : { options }),
  };
}

export const shopify: ShopReader = {
  needs: ["Handle", "Title", "Variant Price"],
  knows: (column) => COLUMNS.has(column),
  async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
    let first: ShopRow | undefined;
    let product: (ShopProduct & { variants: ShopVariant[] }) | undefined;
    const done = ({ variants, value, ...rest }: NonNullable<typeof product>): ShopProduct => ({
      ...rest,
      value: { ...value, variants },
    });
    for await (const row of rows) {
      if (!first || !product || row.get("Handle") !== first.get("Handle")) {
        if (product) yield done(product);
        first = row;
        product = { value: productOf(row), variants: [], rows: [], last: row.row, size: 0 };
      }
      product.last = row.row;
      product.size += row.size;
      // A row without a price is of a further picture.
      if (row.get("Variant Price") === "") continue;
      product.variants.push(variantOf(first, row, onIgnored));
      product.rows.push(row.row);
    }
    if (product) yield done(product);
  },
};

/** The CSV that Shopify exports: one row a variant or a picture, by handle; the product's own cells in its first row. */
import { bareCode } from "../cells";
import { plainText } from "./html";
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

/** Columns by their names, the newer ones behind them. */
const NAMES = {
  handle: ["Handle", "URL handle"],
  title: ["Title"],
  body: ["Body (HTML)", "Description"],
  vendor: ["Vendor"],
  category: ["Product Category"],
  type: ["Type"],
  tags: ["Tags"],
  published: ["Published", "Published on online store"],
  status: ["Status"],
  sku: ["Variant SKU", "SKU"],
  grams: ["Variant Grams", "Weight value (grams)"],
  price: ["Variant Price", "Price"],
  compareAt: ["Variant Compare At Price", "Compare-at price"],
  barcode: ["Variant Barcode", "Barcode"],
  picture: ["Image Src", "Product image URL"],
  place: ["Image Position"],
  alt: ["Image Alt Text"],
  variantPicture: ["Variant Image", "Variant image URL"],
} as const;

const PLACES = [1, 2, 3];
const COLUMNS = new Set(
  [
    ...Object.values(NAMES).flat(),
    ...PLACES.flatMap((place) => [`Option${place} Name`, `Option${place} Value`]),
  ].map((name) => name.toLowerCase()),
);

const cell = (row: ShopRow, column: keyof typeof NAMES): string =>
  NAMES[column].map((name) => row.get(name)).find((text) => text !== "") ?? "";
const number = (row: ShopRow, column: keyof typeof NAMES): string =>
  NAMES[column].map((name) => row.number(name)).find((text) => text !== "") ?? "";

/** What only visitors who are let in see there is a draft here. */
function statusOf(row: ShopRow, onIgnored: OnIgnored): string | undefined {
  const [status, published] = [cell(row, "status").toLowerCase(), cell(row, "published").toLowerCase()];
  if (status === "unlisted") {
    onIgnored("unlisted products, which become drafts");
    return "draft";
  }
  if (status === "active" && published === "false") {
    onIgnored("active products that are not published, which become drafts");
    return "draft";
  }
  if (status !== "") return status;
  return published === "" ? undefined : published === "true" ? "active" : "draft";
}

function productOf(first: ShopRow, onIgnored: OnIgnored): Record<string, unknown> {
  const [category, type] = [pathOf(cell(first, "category")), cell(first, "type")];
  if (category.length > 0 && type !== "") onIgnored("Type beside a Product Category");
  return filled({
    slug: cell(first, "handle"),
    name: cell(first, "title"),
    description: plainText(cell(first, "body")),
    brand: cell(first, "vendor"),
    status: statusOf(first, onIgnored),
    categories: category.length > 0 ? [category] : type === "" ? undefined : [[type]],
    metadata: metadataOf(listOf(cell(first, "tags"))),
  });
}

function variantOf(names: string[], row: ShopRow, onIgnored: OnIgnored): ShopVariant {
  const options = PLACES.flatMap((place) => {
    const [name = "", value] = [names[place - 1], row.get(`Option${place} Value`)];
    // What a product without options has.
    return value === "" || (name === "Title" && value === "Default Title") ? [] : [{ name, value }];
  });
  return {
    ...filled({
      sku: bareCode(cell(row, "sku")),
      price: number(row, "price"),
      // Nothing was ever sold for nothing: it is how Shopify writes that there is none.
      compareAtPrice: number(row, "compareAt").replace(/^0+(\.0*)?$/, ""),
      gtin: gtinOf(cell(row, "barcode"), onIgnored),
      weight: gramsOf(number(row, "grams"), "g"),
    }),
    ...(options.length === 0 ? {} : { options }),
  };
}

/** A row without anything of a variant is of a further picture. */
const isVariant = (row: ShopRow): boolean =>
  [cell(row, "price"), cell(row, "sku"), ...PLACES.map((place) => row.get(`Option${place} Value`))].some(
    (text) => text !== "",
  );

/** Pictures in their own order, which is not always that of their rows. */
function sorted(product: ShopProduct, places: Map<string, number>): ShopProduct {
  const placeOf = (address: string) => places.get(address) ?? Number.MAX_SAFE_INTEGER;
  return {
    ...product,
    pictures: product.pictures.toSorted((a, b) => placeOf(a.address) - placeOf(b.address)),
  };
}

/** Names of the options in a row, which only the first of its product has. */
const namesOf = (row: ShopRow): string[] => PLACES.map((place) => row.get(`Option${place} Name`));

/** @param optionNames by handle, of products whose rows a spreadsheet may have sorted apart */
export const shopify = (optionNames = new Map<string, string[]>()): ShopReader => ({
  needs: [NAMES.handle, NAMES.title, NAMES.price],
  knows: (column) => COLUMNS.has(column.toLowerCase()),
  survey(row) {
    const [first = "", ...others] = namesOf(row);
    if (first !== "" && first !== "Title") optionNames.set(cell(row, "handle"), [first, ...others]);
  },
  async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
    let handle: string | undefined;
    let product: ShopProduct | undefined;
    let names: string[] = [];
    let places = new Map<string, number>();
    for await (const row of rows) {
      const own = cell(row, "handle");
      if (!product || own !== handle || own === "") {
        if (product) yield sorted(product, places);
        handle = own;
        product = begin(productOf(row, onIgnored), row);
        names = row.get("Option1 Name") === "" ? (optionNames.get(own) ?? namesOf(row)) : namesOf(row);
        places = new Map();
        if (own === "") product.faults.push({ row: row.row, fault: "Handle is needed" });
      }
      let variant: number | undefined;
      if (isVariant(row)) {
        product.variants.push(variantOf(names, row, onIgnored));
        variant = product.rows.push(row.row) - 1;
      }
      const [address, place] = [cell(row, "picture"), Number(cell(row, "place"))];
      addPicture(product, row.row, address, cell(row, "alt"));
      if (address !== "" && place > 0) places.set(address, place);
      addPicture(product, row.row, cell(row, "variantPicture"), "", variant);
      take(product, row);
    }
    if (product) yield sorted(product, places);
  },
});

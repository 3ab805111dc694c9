/** The CSV that Medusa exports (1 and 2): one row a variant; prices in columns by currency. */
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

const COLUMNS =
  /^(?:Product (?:Handle|Title|Description|Status|Type|Tags|Thumbnail|Tag \d+|Category \d+|Image \d+(?: Url)?)|Image \d+ Url|Variant (?:Title|SKU|Barcode|EAN|UPC|Weight|Thumbnail|Image \d+)|(?:Variant )?Price [A-Z]{3}|(?:Variant )?Option \d+ (?:Name|Value))$/i;

/** Places of repeated columns. */
const PLACES = Array.from({ length: 30 }, (_, index) => index + 1);

const STATUS: Record<string, string> = {
  published: "active",
  draft: "draft",
  proposed: "draft",
  rejected: "archived",
};

/** What stands in the columns of these names, in each of their places. */
const each = (row: ShopRow, ...names: ((place: number) => string)[]): string[] =>
  PLACES.flatMap((place) => names.map((name) => row.get(name(place)))).filter((text) => text !== "");

function productOf(row: ShopRow, onIgnored: OnIgnored): Record<string, unknown> {
  const status = row.get("Product Status").toLowerCase();
  const paths = each(row, (place) => `Product Category ${place}`);
  // Medusa 2 writes ids that the file says nothing more of.
  const ids = paths.filter((path) => /^pcat_[0-9A-Z]+$/i.test(path));
  for (const _ of ids) onIgnored("categories by their ids");
  const categories = paths.filter((path) => !ids.includes(path)).map(pathOf);
  const type = row.get("Product Type");
  return filled({
    slug: row.get("Product Handle"),
    name: row.get("Product Title"),
    description: plainText(row.get("Product Description")),
    status: Object.hasOwn(STATUS, status) ? STATUS[status] : status,
    categories: categories.length > 0 ? categories : type === "" ? undefined : [[type]],
    metadata: metadataOf([
      ...listOf(row.get("Product Tags")),
      ...each(row, (place) => `Product Tag ${place}`),
    ]),
  });
}

function variantOf(row: ShopRow, prices: [string, string], onIgnored: OnIgnored): ShopVariant {
  const options = PLACES.flatMap((place) => {
    const read = (what: string) =>
      row.get(`Variant Option ${place} ${what}`) || row.get(`Option ${place} ${what}`);
    const [name, value] = [read("Name"), read("Value")];
    return value === "" ? [] : [{ name, value }];
  });
  const [currency, price] = prices;
  const barcodes = ["Barcode", "EAN", "UPC"].map((name) => row.get(`Variant ${name}`));
  return {
    ...filled({
      sku: bareCode(row.get("Variant SKU")),
      name: row.get("Variant Title"),
      price,
      currency,
      gtin: gtinOf(barcodes.find((code) => code !== "") ?? "", onIgnored),
      weight: gramsOf(row.number("Variant Weight"), "g"),
    }),
    ...(options.length === 0 ? {} : { options }),
  };
}

/** @param currencies of the file's price columns, the shop's own first */
export const medusa = (currencies: string[]): ShopReader => ({
  needs: [["Product Handle"], ["Product Title"]],
  knows: (column) => COLUMNS.test(column),
  async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
    let handle: string | undefined;
    let product: ShopProduct | undefined;
    for await (const row of rows) {
      const own = row.get("Product Handle");
      if (!product || own !== handle || own === "") {
        if (product) yield product;
        handle = own;
        product = begin(productOf(row, onIgnored), row);
        if (own === "") product.faults.push({ row: row.row, fault: "Product Handle is needed" });
      }
      const prices = currencies.flatMap((currency): [string, string][] => {
        const price = row.number(`Variant Price ${currency}`) || row.number(`Price ${currency}`);
        return price === "" ? [] : [[currency, price]];
      });
      // A product here has prices in one currency.
      for (const [currency] of prices.slice(1)) onIgnored(`prices in ${currency}`);
      const variant = product.variants.push(variantOf(row, prices[0] ?? ["", ""], onIgnored)) - 1;
      product.rows.push(row.row);
      for (const address of [
        row.get("Product Thumbnail"),
        ...each(
          row,
          (place) => `Product Image ${place}`,
          (place) => `Product Image ${place} Url`,
          (place) => `Image ${place} Url`,
        ),
      ])
        addPicture(product, row.row, address);
      for (const address of [row.get("Variant Thumbnail"), ...each(row, (place) => `Variant Image ${place}`)])
        addPicture(product, row.row, address, "", variant);
      take(product, row);
    }
    if (product) yield product;
  },
});

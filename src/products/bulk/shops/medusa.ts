/** The CSV that Medusa exports (1 and 2): one row a variant; prices in columns by currency. */
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
  /^(?:Product (?:Handle|Title|Description|Status|Collection Title|Type|Tags|Tag \d+|Category \d+(?: Name)?)|Variant (?:Title|SKU|Barcode|Weight)|(?:Variant )?Price [A-Z]{3}|(?:Variant )?Option \d+ (?:Name|Value))$/;

/** Places of repeated columns. */
const PLACES = Array.from({ length: 10 }, (_, index) => index + 1);

const STATUS: Record<string, string> = {
  published: "active",
  draft: "draft",
  proposed: "draft",
  rejected: "archived",
};

function productOf(row: ShopRow): Record<string, unknown> {
  const status = row.get("Product Status").toLowerCase();
  const tags = [
    ...listOf(row.get("Product Tags")),
    ...PLACES.map((place) => row.get(`Product Tag ${place}`)).filter((tag) => tag !== ""),
  ];
  const categories = PLACES.map((place) => pathOf(row.get(`Product Category ${place}`))).filter(
    (path) => path.length > 0,
  );
  const type = row.get("Product Type");
  return filled({
    slug: row.get("Product Handle"),
    name: row.get("Product Title"),
    description: plainText(row.get("Product Description")),
    status: Object.hasOwn(STATUS, status) ? STATUS[status] : status,
    categories: categories.length > 0 ? categories : type === "" ? undefined : [[type]],
    metadata: tags.length > 0 ? { tags } : undefined,
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
  return {
    ...filled({
      sku: row.get("Variant SKU"),
      name: row.get("Variant Title"),
      price,
      currency,
      gtin: gtinOf(row.get("Variant Barcode"), onIgnored),
      weight: gramsOf(row.get("Variant Weight"), "g", { point: 1 }),
    }),
    ...(options.length === 0 ? {} : { options }),
  };
}

/** @param currencies of the file's price columns, the shop's own first */
export const medusa = (currencies: string[]): ShopReader => ({
  needs: ["Product Handle", "Product Title"],
  knows: (column) => COLUMNS.test(column),
  async *read(rows, onIgnored): AsyncGenerator<ShopProduct> {
    let handle: string | undefined;
    let product: (ShopProduct & { variants: ShopVariant[] }) | undefined;
    const done = ({ variants, value, ...rest }: NonNullable<typeof product>): ShopProduct => ({
      ...rest,
      value: { ...value, variants },
    });
    for await (const row of rows) {
      if (!product || row.get("Product Handle") !== handle) {
        if (product) yield done(product);
        handle = row.get("Product Handle");
        product = { value: productOf(row), variants: [], rows: [], last: row.row, size: 0 };
      }
      const prices = currencies.flatMap((currency): [string, string][] => {
        const price = row.get(`Variant Price ${currency}`) || row.get(`Price ${currency}`);
        return price === "" ? [] : [[currency, price]];
      });
      // A product here has prices in one currency.
      for (const [currency] of prices.slice(1)) onIgnored(`prices in ${currency}`);
      product.variants.push(variantOf(row, prices[0] ?? ["", ""], onIgnored));
      product.rows.push(row.row);
      product.last = row.row;
      product.size += row.size;
    }
    if (product) yield done(product);
  },
});

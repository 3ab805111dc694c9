import { slugify } from "../../../lib/text";
import { BadCell } from "../cells";
import type { ReadLine, Shop } from "../shapes";
import type { Source } from "../source";
import { medusa } from "./medusa";
import { keyOf, known, openShopFile, rowsOf, surveyShop } from "./rows";
import type { OnIgnored, ShopProduct, ShopReader, ShopVariant } from "./shop";
import { shopify } from "./shopify";
import { woocommerce } from "./woocommerce";

/** What an import of another shop's file is told. */
export interface OtherShop {
  shop: Shop;
  /** The shop's own, for files that do not say one. */
  currency: string;
  /** Sales whose time is over are none. */
  now: Date;
  /** Hears of each row that fills something which the import leaves out. */
  onIgnored: OnIgnored;
}

function readerOf({ shop, currency, now }: OtherShop, header: string[]): ShopReader {
  if (shop === "shopify") return shopify();
  if (shop === "woocommerce") return woocommerce(now);
  const named = header.flatMap((column) => /^(?:Variant )?Price ([A-Z]{3})$/i.exec(column)?.[1] ?? []);
  const currencies = named.map((one) => one.toUpperCase());
  return medusa([...new Set([...currencies.filter((one) => one === currency), ...currencies])]);
}

/** A variant that neither SKU nor options tell apart is its product's only one. */
function named({ slug, name }: Record<string, unknown>, variant: ShopVariant): ShopVariant {
  if (variant.sku !== undefined || (variant.options?.length ?? 0) > 0) return variant;
  return {
    ...variant,
    sku: slugify(String(slug ?? name ?? ""))
      .toUpperCase()
      .slice(0, 100),
  };
}

function lineOf({ value, variants, rows, pictures, row, last, size, faults }: ShopProduct): ReadLine {
  const line = { row, last, size, isTable: true };
  if (faults.length > 0) {
    const told = faults.map((one) => (one.row === row ? one.fault : `row ${one.row}: ${one.fault}`));
    return { ...line, fault: told.slice(0, 20).join("; ") };
  }
  if (variants.length === 0) return { ...line, fault: "has no variant with a price" };
  return {
    ...line,
    value: { ...value, variants: variants.map((variant) => named(value, variant)) },
    variantRows: rows,
    pictures,
  };
}

/** Reads the CSV export of another shop system: each product a line, in an order that the file alone decides. */
export async function* readShop(
  other: OtherShop,
  open: Source,
  counted: (stream: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): AsyncGenerator<ReadLine> {
  const { styles, reader } = await surveyShop(await open(), (header) => readerOf(other, header));
  const { onIgnored } = other;
  const broken = (row: number, fault: string): ReadLine => ({ row, last: row, size: 0, fault });
  let opened: Awaited<ReturnType<typeof openShopFile>>;
  try {
    opened = await openShopFile(counted(await open()));
  } catch (error) {
    if (!(error instanceof BadCell)) throw error;
    yield broken(1, error.message);
    return;
  }
  const { header, file } = opened;
  const names = new Set(header.map(keyOf));
  const missing = reader.needs.find((columns) => !columns.some((column) => names.has(keyOf(column))));
  if (missing !== undefined) {
    // It was begun, and a file that nobody closes ends the process when it is collected.
    await file.return(undefined);
    yield broken(1, `is no export of ${other.shop}: the column "${missing[0]}" is not there`);
    return;
  }
  let at = 1;
  let end: BadCell | undefined;
  /** The rows up to where the file cannot be read any more, so that what was begun is brought to its end. */
  const rows = async function* () {
    try {
      for await (const row of known(rowsOf(file, header, styles), header, reader, onIgnored)) {
        at = row.row;
        yield row;
      }
    } catch (error) {
      if (!(error instanceof BadCell)) throw error;
      end = error;
    }
  };
  for await (const product of reader.read(rows(), onIgnored)) yield lineOf(product);
  if (end) yield broken(at + 1, end.message);
}

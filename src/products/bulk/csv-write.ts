import { harmless, harmlessCode, marked } from "./cells";
import { COLUMNS } from "./columns";
import type { ExportedProduct } from "./shapes";

const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
const line = (cells: string[]): string => `${cells.map(quoted).join(",")}\r\n`;

/** One line of CSV, in which no cell is a formula. */
export const csvLine = (cells: string[]): string => line(cells.map(harmless));

/** The first line, with a byte order mark, without which Excel does not read UTF-8. */
export const csvHeader = (): string => `\ufeff${COLUMNS.join(",")}\r\n`;

/** The rows of a product, one for each variant. */
export function csvRows(product: ExportedProduct): string {
  const own = [
    product.name,
    product.description,
    product.brand ?? "",
    product.status,
    product.categories.map((path) => path.map((name) => marked(name, /[\\/|]/g)).join("/")).join("|"),
    product.attrs.length === 0 ? "" : JSON.stringify(product.attrs),
    Object.keys(product.metadata).length === 0 ? "" : JSON.stringify(product.metadata),
    String(product.popularity),
  ];
  return product.variants
    .map((variant, index) =>
      line([
        product.slug,
        ...(index === 0 ? own : own.map(() => "")).map(harmless),
        harmlessCode(variant.sku),
        harmless(variant.name ?? ""),
        variant.price,
        variant.currency,
        variant.compareAtPrice ?? "",
        variant.gtin ?? "",
        variant.weight === null ? "" : String(variant.weight),
        harmless(
          variant.options
            .map(({ name, value }) => `${marked(name, /[\\=|]/g)}=${marked(value, /[\\=|]/g)}`)
            .join("|"),
        ),
      ]),
    )
    .join("");
}

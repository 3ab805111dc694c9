/** Numbers as spreadsheets of different countries write them: read when the column says which, never guessed. */
import { BadCell } from "./cells";

/** In which row of a column a decimal point was seen first, and in which a decimal comma. */
export interface NumberStyle {
  point?: number;
  comma?: number;
  /** Where another column of the file has a decimal comma, while this one says nothing. */
  elsewhere?: number;
}

const SPACES = /[\s\u00a0\u2009\u202f]/g;
const SIGNED = /^([^\d\s.,'’-]{1,4})?\s*(\d[\d.,'’\s\u00a0\u2009\u202f]*?)\s*([^\d\s.,'’-]{1,4})?$/u;

/** The digits of a cell, with commas and points, and the currency sign beside them; undefined when it is no number. */
function taken(cell: string): { digits: string; sign: string | undefined } | undefined {
  const [, before, number = "", behind] =
    SIGNED.exec(cell.trim().replace(/[\u00a0\u2009\u202f]/g, " ")) ?? [];
  if (number === "" || (before !== undefined && behind !== undefined)) return undefined;
  const digits = /^\d{1,3}(?:[\s'’]\d{3})+(?:[.,]\d+)?$/u.test(number)
    ? number.replace(SPACES, "").replace(/['’]/g, "")
    : number;
  return /^\d+(?:[.,]\d+)*$/.test(digits) ? { digits, sign: before ?? behind } : undefined;
}

/** How a number is written: plainly, or so that it could be either. */
type Form = "plain" | "point" | "comma" | "comma or thousands" | "point or thousands" | "unclear";

function formOf(digits: string): Form {
  if (!/[.,]/.test(digits)) return "plain";
  if (/^[1-9]\d{0,2}(?:,\d{3})+\.\d+$/.test(digits) || /^[1-9]\d{0,2}(?:,\d{3}){2,}$/.test(digits))
    return "point";
  if (/^[1-9]\d{0,2}(?:\.\d{3})+,\d+$/.test(digits) || /^[1-9]\d{0,2}(?:\.\d{3}){2,}$/.test(digits))
    return "comma";
  if (/^[1-9]\d{0,2},\d{3}$/.test(digits)) return "comma or thousands";
  if (/^[1-9]\d{0,2}\.\d{3}$/.test(digits)) return "point or thousands";
  if (/^\d+,\d+$/.test(digits)) return "comma";
  return /^\d+\.\d+$/.test(digits) ? "point" : "unclear";
}

/** Records what a cell says about its column. */
export function noteNumber(style: NumberStyle, cell: string, row: number): void {
  const form = formOf(taken(cell)?.digits ?? "");
  if (form === "point" || form === "comma") style[form] ??= row;
}

/** Tells columns that say nothing themselves what the others of their file say. */
export function compareStyles(styles: NumberStyle[]): void {
  const comma = styles.find((style) => style.comma !== undefined)?.comma;
  for (const style of styles) {
    if (comma !== undefined && style.comma === undefined && style.point === undefined)
      style.elsewhere = comma;
  }
}

/** Whether a number with a point could also be one of thousands: 1.200, but not 0.200 or 1.20. */
export const maybeThousands = (digits: string): boolean => formOf(digits) === "point or thousands";

/** Why a number cannot be taken. */
export const twoMeanings = (number: string): string => {
  const [whole = "", rest = ""] = number.split(/[.,]/);
  const mark = number.includes(",") ? "comma" : "point";
  return `"${number}" could mean ${whole}${rest} or ${whole}.${rest}; write it without a ${mark}`;
};

/**
 * The number of a cell with a decimal point, and the currency sign that stands beside it. What is no number comes back
 * as it is.
 * @throws BadCell when it could mean two things
 */
export function readNumber(cell: string, style: NumberStyle): { text: string; sign?: string | undefined } {
  const found = taken(cell);
  if (!found) return { text: cell };
  const { digits, sign } = found;
  const form = formOf(digits);
  if (form === "plain") return { text: digits, sign };
  if (form === "unclear") return { text: cell };
  const { point, comma } = style;
  if (point !== undefined && comma !== undefined) {
    throw new BadCell(
      `"${cell}" could mean two things: the column has a decimal comma in row ${comma} and a decimal point in row ${point}`,
    );
  }
  if (point === undefined && comma === undefined) {
    if (form === "comma or thousands" || style.elsewhere !== undefined)
      throw new BadCell(twoMeanings(digits));
    // Whether 1.200 has three decimals, its currency says.
    return { sign, text: digits };
  }
  const text =
    comma === undefined ? digits.replaceAll(",", "") : digits.replaceAll(".", "").replace(",", ".");
  // The column says what the point is, so that noughts behind it say nothing.
  return { sign, text: text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") };
}

/** Signs that one currency has. */
const SIGNS: Record<string, string> = {
  "€": "EUR",
  "£": "GBP",
  "₹": "INR",
  "₩": "KRW",
  "₽": "RUB",
  "₺": "TRY",
  "₴": "UAH",
  "₫": "VND",
  "₪": "ILS",
  "₱": "PHP",
  "₦": "NGN",
  "฿": "THB",
  zł: "PLN",
  Kč: "CZK",
  R$: "BRL",
  US$: "USD",
  CA$: "CAD",
  A$: "AUD",
  NZ$: "NZD",
};

/** The currency that a sign stands for; undefined for a sign of several, such as $. */
export const currencyOf = (sign: string): string | undefined =>
  Object.hasOwn(SIGNS, sign) ? SIGNS[sign] : /^[A-Z]{3}$/.test(sign) ? sign : undefined;

/** Whether a sign of several currencies may stand for this one. */
export const mayStandFor = (sign: string, currency: string): boolean =>
  ["narrowSymbol", "symbol"].some((currencyDisplay) =>
    new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: currencyDisplay as "symbol" })
      .formatToParts(1)
      .some(({ type, value }) => type === "currency" && value === sign),
  );

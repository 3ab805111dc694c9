const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf("currency"));

/** Asked of the runtime once for each currency: an import asks for every price. */
const DIGITS = new Map<string, number>();

/** Whether a text is a currency of ISO 4217; the runtime formats any three letters as if they were one. */
export const isCurrency = (code: string): boolean => CURRENCIES.has(code);

/**
 * Digits after the decimal point of a currency: 2 for USD, 0 for JPY, 3 for KWD (ISO 4217, by the runtime's
 * own table).
 * @throws RangeError for something that is not a currency code
 */
export function minorDigits(currency: string): number {
  const known = DIGITS.get(currency);
  if (known !== undefined) return known;
  const { maximumFractionDigits = 2 } = new Intl.NumberFormat("en", {
    style: "currency",
    currency,
  }).resolvedOptions();
  DIGITS.set(currency, maximumFractionDigits);
  return maximumFractionDigits;
}

/**
 * Minor units of a decimal text such as "49.99", without going through a binary fraction. Null when it is no
 * such number, has more digits than the currency, or is beyond what a number holds exactly.
 */
export function parseMinor(decimal: string, currency: string): number | null {
  const [, whole, fraction = ""] = /^(\d{1,16})(?:\.(\d{1,10}))?$/.exec(decimal.trim()) ?? [];
  const digits = minorDigits(currency);
  if (whole === undefined || /[1-9]/.test(fraction.slice(digits))) return null;
  const amount = Number(whole + fraction.slice(0, digits).padEnd(digits, "0"));
  return Number.isSafeInteger(amount) ? amount : null;
}

/** The decimal text of an amount, such as "49.99": what `parseMinor` reads back. */
export function formatMinor(amount: number, currency: string): string {
  const digits = minorDigits(currency);
  const text = String(amount).padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** An amount in minor units with its ISO 4217 code, as the API gives it. */
interface Amount {
  amount: number;
  currency: string;
}

const formats = new Map<string, Intl.NumberFormat>();

/**
 * An amount as people write it: `money({ amount: 4900, currency: "EUR" }, "de")` is "49,00 €".
 * @param locale a BCP 47 tag; the browser's own when not given
 */
export function money({ amount, currency }: Amount, locale?: string): string {
  const name = `${locale} ${currency}`;
  const format = formats.get(name) ?? new Intl.NumberFormat(locale, { style: "currency", currency });
  formats.set(name, format);
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  // As a text, because a binary fraction would not hold every large amount.
  const text = String(Math.abs(amount)).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  const sign = amount < 0 ? "-" : "";
  return format.format(`${sign}${whole}.${text.slice(text.length - digits) || 0}` as unknown as number);
}

/** A time of the API as a date: `date("2026-11-30T10:00:00Z", "de")` is "30. November 2026". */
export const date = (
  time: string | Date,
  locale?: string,
  options: Intl.DateTimeFormatOptions = { dateStyle: "long" },
) => new Intl.DateTimeFormat(locale, options).format(new Date(time));

/** A time of the API as date and time of day. */
export const dateTime = (time: string | Date, locale?: string, options: Intl.DateTimeFormatOptions = {}) =>
  date(time, locale, { dateStyle: "medium", timeStyle: "short", ...options });

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_556_952],
  ["month", 2_629_746],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago, or in how long: "3 minutes ago", "in 2 days". */
export function ago(time: string | Date, locale?: string, now: Date = new Date()): string {
  const seconds = (new Date(time).getTime() - now.getTime()) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

/** Saves a file that was downloaded under its name, as a link with `download` does. In pages only. */
export function save(file: File): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  // The browser has to take it up first.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

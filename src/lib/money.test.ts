import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatMinor, isCurrency, minorDigits, parseMinor } from "./money";

describe("money", () => {
  test.each([
    ["49.99", "USD", 4999],
    ["49.9", "USD", 4990],
    ["49", "USD", 4900],
    ["49.990", "USD", 4999],
    ["0.1", "USD", 10],
    ["0", "USD", 0],
    ["1.15", "USD", 115],
    ["100", "JPY", 100],
    ["1.234", "KWD", 1234],
    ["90071992547409.91", "USD", Number.MAX_SAFE_INTEGER],
  ])("%p %s is %p minor units", (decimal, currency, amount) => {
    expect(parseMinor(decimal, currency)).toBe(amount);
  });

  test.each([
    ["49.999", "USD"],
    ["1.5", "JPY"],
    ["-1", "USD"],
    ["+1", "USD"],
    ["1e3", "USD"],
    ["0x10", "USD"],
    ["1,000", "USD"],
    [".5", "USD"],
    ["5.", "USD"],
    ["", "USD"],
    ["NaN", "USD"],
    ["Infinity", "USD"],
    ["١٢", "USD"],
    ["90071992547409.92", "USD"],
    ["99999999999999999", "USD"],
  ])("%p %s is refused", (decimal, currency) => {
    expect(parseMinor(decimal, currency)).toBeNull();
  });

  test("any amount that is written out is read back exactly", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        fc.constantFrom("USD", "EUR", "JPY", "KWD"),
        (amount, currency) => {
          const decimal = formatMinor(amount, currency);
          expect(parseMinor(decimal, currency)).toBe(amount);
          expect(decimal.split(".")[1]?.length ?? 0).toBe(minorDigits(currency));
        },
      ),
    );
  });

  test("a currency is one of ISO 4217, in capitals", () => {
    expect(["USD", "EUR", "JPY", "KWD"].every(isCurrency)).toBe(true);
    expect(["usd", "ZZZ", "US", "", "USDT", "__proto__"].some(isCurrency)).toBe(false);
  });
});

import { z } from "zod";
import { isCurrency } from "../lib/money";
import { canonicalKey, cleanText, isVisible } from "../lib/text";
import { MAX_METADATA, metadataFault } from "./metadata";
import { GTIN } from "./shown";

/** Refuses control characters but line breaks and tabs. */
export const NO_CONTROLS = /^(?:[^\p{Cc}]|[\n\r\t])*$/u;
export const ONE_LINE = /^[^\p{Cc}]*$/u;

/** Text of one line: NFC, trimmed, without control characters. HTML stays text. */
export const lineSchema = (max: number) =>
  z
    .string("must be a string")
    .regex(ONE_LINE, "must not hold control characters")
    .transform(cleanText)
    .pipe(
      z
        .string()
        .min(1, "must not be empty")
        .max(max, `must be at most ${max} characters`)
        .refine(isVisible, "must show something: a letter, a digit or a sign"),
    );

export const minorUnitsSchema = z
  .int("must be a whole number of minor units, such as 1999 for 19.99 USD")
  .min(0, "must not be negative")
  .max(Number.MAX_SAFE_INTEGER, "is too large");

export const currencySchema = z
  .string("must be a string")
  .regex(/^[A-Z]{3}$/, "must be an ISO 4217 code such as USD")
  .refine(isCurrency, "must be an ISO 4217 code such as USD");

export const skuSchema = lineSchema(100);

/** A GTIN of 8, 12, 13 or 14 digits whose check digit is right (GS1 General Specifications, 7.9). */
export const gtinSchema = z
  .string("must be a string")
  .regex(GTIN, "must be 8, 12, 13 or 14 digits")
  .refine((digits) => {
    const sum = [...digits]
      .reverse()
      .reduce((total, digit, place) => total + Number(digit) * (place % 2 === 0 ? 1 : 3), 0);
    return sum % 10 === 0;
  }, "has a wrong check digit");

/** Grams. */
export const weightSchema = z
  .number("must be a number of grams")
  .min(0, "must not be negative")
  .max(1e9, "must be at most 1000 tonnes");

export const optionsSchema = z
  .array(z.strictObject({ name: lineSchema(50), value: lineSchema(100) }))
  .max(10, "must be at most 10 options")
  .refine((options) => new Set(options.map(({ name }) => canonicalKey(name))).size === options.length, {
    error: "name an option twice",
    params: { code: "duplicate" },
  });

const flatValue = z.union(
  [lineSchema(500), z.number(), z.boolean()],
  "must be a string, a number, true or false",
);

/**
 * The name of an attribute, in NFC, which may be longer than what came in or hold other characters. Persian and Indic
 * words have joiners of width zero in them, which make no other key.
 */
export const attributeKeySchema = z
  .string("must be a string")
  .transform((key) => key.normalize("NFC"))
  .pipe(
    z
      .string()
      .regex(
        /^(?=[\p{L}\p{N}\p{M}_-])[\p{L}\p{N}\p{M}\p{Join_Control}_-]+$/u,
        "must be letters, digits, _ or -",
      )
      .max(50, "must be at most 50 characters"),
  );

export const attributeSchema = z
  .strictObject({
    key: attributeKeySchema,
    value: flatValue,
    unit: lineSchema(20).nullish(),
  })
  .meta({ id: "Attribute" });

/** JSON of the shop's own, given back as it was. */
export const metadataSchema = z
  .record(z.string(), z.unknown(), "must be an object")
  .superRefine((metadata, ctx) => {
    const fault = metadataFault(metadata, []);
    if (fault) ctx.addIssue({ code: "custom", ...fault, params: { code: "not_allowed" } });
    else if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA) {
      ctx.addIssue({
        code: "custom",
        message: `must be at most ${MAX_METADATA} bytes as JSON`,
        params: { code: "too_long" },
      });
    }
  })
  .meta({ description: "Any JSON: at most 5 levels deep and 16 kB" });

/** At most so many variants in one product. */
export const MAX_VARIANTS = 250;

/** Checks lines by themselves, before anything is looked up. */

import { createHash } from "node:crypto";
import { AppError, invalidInput, refusedFields } from "../../lib/errors";
import { canonicalKey, slugify } from "../../lib/text";
import { UNKNOWN_FIELD } from "../filters";
import { type ImportLine, type ImportVariant, importLineSchema } from "./line";
import { currencyOf } from "./numbers";
import type { ImportFault, ReadLine } from "./shapes";

/** A variant of a line, with a SKU in any case. */
export interface NamedVariant extends ImportVariant {
  sku: string;
  /** The SKU is made from what identifies the variant: its product's may have another one. */
  derived?: true;
  /** A sign of several currencies, such as $, that stood beside its price. */
  sign?: string;
}

/** A line that was read and found right. */
export interface GoodLine {
  read: ReadLine;
  line: ImportLine;
  variants: NamedVariant[];
  skuKeys: string[];
  slugKey: string | undefined;
  /** No line of the file before named its SKUs or slug. */
  isFirst?: boolean;
}

const PATH_OF_VARIANT = /^variants\.(\d+)\b\.?/;

/** Faults as rows: what is wrong with a variant belongs to its row. */
function faultsOf(read: ReadLine, errors: { path: string; message: string }[]): ImportFault[] {
  const byRow = new Map<number, string[]>();
  for (const { path, message } of errors) {
    const index = PATH_OF_VARIANT.exec(path)?.[1];
    const row = index === undefined ? undefined : read.variantRows?.[Number(index)];
    const name = row === undefined ? path : path.replace(PATH_OF_VARIANT, "");
    const place = row ?? read.row;
    byRow.set(place, [...(byRow.get(place) ?? []), `${name === "" ? "" : `${name} `}${message}`]);
  }
  return [...byRow].map(([row, messages]) => ({ row, message: messages.slice(0, 20).join("; ") }));
}

/** Why a line was refused; anything but a refusal of ours or of the schema is thrown on. */
export function refusal(read: ReadLine, error: unknown): ImportFault[] {
  const refused = refusedFields(error);
  // Keys are made from the field that they are named after.
  if (refused)
    return faultsOf(
      read,
      refused.map(({ path, kind }) => ({
        path: path.replace(/Key$/, ""),
        message: kind === "maxlength" ? "is too long" : `cannot be stored (${kind})`,
      })),
    );
  if (!(error instanceof AppError) || error.status >= 500) throw error;
  if (error.errors) return faultsOf(read, error.errors);
  // Such texts name SKUs and products; their code is what they have in common.
  return [{ row: read.row, message: error.detail, kind: error.code }];
}

/**
 * The SKU of a line that names none: from what identifies it (its picture too, since catalogues hold several
 * products of one name), so that the same file gives the same SKUs again and a second import changes nothing.
 */
const derivedSku = (line: ImportLine): string =>
  `I-${createHash("sha256")
    .update(
      JSON.stringify([
        line.slug ?? canonicalKey(line.name ?? ""),
        line.brand ?? null,
        line.categories ?? [],
        line.image ?? null,
      ]),
    )
    .digest("hex")
    .slice(0, 16)
    .toUpperCase()}`;

/** Longest part of a derived SKU that is made of options. */
const MAX_SUFFIX = 40;

/**
 * The SKU of a variant that names none: of its product's slug, or what else identifies it, and its options. Options
 * that cannot be read from the SKU are told apart by a hash.
 */
function derivedVariantSku(line: ImportLine, options: { name: string; value: string }[]): string {
  const base = line.slug === undefined ? derivedSku(line) : line.slug.slice(0, 80).toUpperCase();
  const values = options.map(({ value }) => value).join(" ");
  const suffix = slugify(values).slice(0, MAX_SUFFIX).toUpperCase();
  const isWhole = canonicalKey(suffix) === canonicalKey(values).replaceAll(" ", "-");
  const hash = createHash("sha256")
    .update(canonicalKey(JSON.stringify(options)))
    .digest("hex");
  return [base, suffix, isWhole ? "" : hash.slice(0, 6).toUpperCase()]
    .filter((part) => part !== "")
    .join("-");
}

/** A variant whose price stood beside a currency sign. @throws AppError invalid_input for two that disagree */
function signed(
  line: ImportLine,
  variant: NamedVariant,
  signs: string[] | undefined,
  path: string,
): NamedVariant {
  const [sign, other] = new Set(signs);
  if (sign === undefined) return variant;
  if (other !== undefined) {
    throw invalidInput(`${path}price`, "ambiguous", `has ${sign} and compareAtPrice ${other}`);
  }
  const said = variant.currency ?? line.currency;
  const currency = currencyOf(sign);
  if (currency === undefined) return { ...variant, sign };
  if (said !== undefined && said !== currency) {
    throw invalidInput(`${path}price`, "ambiguous", `says ${sign}, and the currency is ${said}`);
  }
  return { ...variant, currency };
}

/** The variants of a line, each with a SKU. @throws AppError invalid_input */
function variantsOf(line: ImportLine, signs: string[][] = []): NamedVariant[] {
  if (line.variants === undefined) {
    const { price } = line;
    const only = {
      ...(line.sku === undefined ? { sku: derivedSku(line), derived: true as const } : { sku: line.sku }),
      ...(price === undefined ? {} : { price }),
    };
    return [signed(line, only, signs[0], "")];
  }
  const seen = new Map<string, number>();
  return line.variants.map((variant, index) => {
    const named =
      variant.sku === undefined
        ? { ...variant, sku: derivedVariantSku(line, variant.options ?? []), derived: true as const }
        : { ...variant, sku: variant.sku };
    const skuKey = canonicalKey(named.sku);
    if (seen.has(skuKey)) {
      throw invalidInput(
        `variants.${index}.options`,
        "duplicate",
        "are those of another variant; give it a SKU",
      );
    }
    seen.set(skuKey, index);
    return signed(line, named, signs[index], `variants.${index}.`);
  });
}

/** Checks a line by itself. */
export function checkLine(read: ReadLine): GoodLine | ImportFault[] {
  if (read.fault !== undefined) return [{ row: read.row, message: read.fault }];
  const parsed = importLineSchema.safeParse(read.value);
  if (!parsed.success) {
    return faultsOf(
      read,
      parsed.error.issues.map((issue) =>
        issue.code === "unrecognized_keys"
          ? {
              path: [...issue.path, issue.keys[0]].join("."),
              message: UNKNOWN_FIELD,
            }
          : { path: issue.path.join("."), message: issue.message },
      ),
    );
  }
  const line = parsed.data;
  let variants: NamedVariant[];
  try {
    variants = variantsOf(line, read.signs);
  } catch (error) {
    return refusal(read, error);
  }
  return {
    read,
    line,
    variants,
    skuKeys: variants.map(({ sku }) => canonicalKey(sku)),
    slugKey: line.slug === undefined ? undefined : canonicalKey(line.slug),
  };
}

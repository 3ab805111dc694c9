/** Checks lines by themselves, before anything is looked up. */
import { AppError, invalidInput, refusedFields } from "../../lib/errors";
import { canonicalKey } from "../../lib/text";
import { UNKNOWN_FIELD } from "../filters";
import { type ImportLine, type ImportVariant, importLineSchema } from "./line";
import { currencyOf } from "./numbers";
import type { ImportFault, ReadLine } from "./shapes";
import { derivedSku, derivedVariantSku } from "./skus";

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

/** @throws AppError invalid_input for a SKU whose last digits a spreadsheet took away */
function refuseShortened(sku: string | undefined, path: string): void {
  if (sku === undefined || !/^\d(?:[.,]\d+)?E\+\d{2,3}$/i.test(sku)) return;
  const message = "is a number that a spreadsheet shortened; make its column text and export it again";
  throw invalidInput(path, "invalid_format", `"${sku}" ${message}`);
}

/** The variants of a line, each with a SKU. @throws AppError invalid_input */
function variantsOf(line: ImportLine, { signs = [], isTable = false }: ReadLine): NamedVariant[] {
  if (isTable) {
    refuseShortened(line.sku, "sku");
    for (const [index, { sku }] of (line.variants ?? []).entries())
      refuseShortened(sku, `variants.${index}.sku`);
  }
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
    variants = variantsOf(line, read);
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

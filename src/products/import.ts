import { createHash } from "node:crypto";
import { canonicalKey } from "../canonical";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import { ensureCategoryPath } from "./categories/service";
import type { ProductDocument } from "./model";
import { minorDigits, parseMinor } from "./money";
import { type ImportLine, importLineSchema } from "./schema";
import { buildProduct } from "./service";

/** What became of the lines so far. */
export interface ImportSummary {
  lines: number;
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
}

/** A line that could not be imported; `line` counts from 1. */
export interface ImportFault {
  line: number;
  message: string;
}

/** Longest line, in characters: a file without line breaks must not fill the memory. */
const MAX_LINE = 1024 * 1024;

/**
 * Cuts a stream of bytes into lines and holds one at a time. A line that is too long or not UTF-8 is given
 * as an error, not thrown, so that the others still count.
 */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<{ text: string } | { error: string }> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let parts: Uint8Array[] = [];
  let length = 0;
  let tooLong = false;
  const flush = (): { text: string } | { error: string } => {
    const bytes = Buffer.concat(parts);
    const wasTooLong = tooLong;
    parts = [];
    length = 0;
    tooLong = false;
    if (wasTooLong) return { error: `is longer than ${MAX_LINE} bytes` };
    try {
      return { text: decoder.decode(bytes) };
    } catch {
      return { error: "is not UTF-8" };
    }
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      if (!tooLong) parts.push(chunk.subarray(start, end));
      yield flush();
      start = end + 1;
    }
    const rest = chunk.subarray(start);
    length += rest.length;
    if (length > MAX_LINE) {
      tooLong = true;
      parts = [];
    } else if (rest.length > 0) {
      parts.push(rest.slice());
    }
  }
  if (length > 0 || tooLong) yield flush();
}

/**
 * The SKU of a line that names none: from what identifies it (its picture too, since catalogues hold several
 * products of one name), so that the same file gives the same SKUs again and a second import changes nothing.
 */
const derivedSku = (line: ImportLine): string =>
  `I-${createHash("sha256")
    .update(
      JSON.stringify([
        canonicalKey(line.name),
        line.brand ?? null,
        line.categories ?? [],
        line.image ?? null,
      ]),
    )
    .digest("hex")
    .slice(0, 16)
    .toUpperCase()}`;

/**
 * Windows-1252 read as Latin-1 leaves C1 controls where signs such as ™ were. They mean nothing else in text,
 * so they are read as HTML reads them (WHATWG "numeric character reference end state").
 */
const repairControls = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (char) =>
    new TextDecoder("windows-1252").decode(Uint8Array.of(char.charCodeAt(0))),
  );

/** The part of a product that an import decides: what must differ for a line to be a change. */
const imported = (product: ProductDocument) =>
  JSON.stringify([
    product.name,
    product.description,
    product.brand,
    product.categoryIds,
    product.price,
    product.currency,
    product.popularity,
    product.variants.map(({ sku, price, currency }) => [sku, price, currency]),
  ]);

async function importOne(deps: Deps, line: ImportLine): Promise<"created" | "updated" | "unchanged"> {
  const currency = line.currency ?? deps.config.defaultCurrency;
  // The shortest decimal text of a number is what was written in the file.
  const price = parseMinor(String(line.price), currency);
  if (price === null) {
    throw new AppError(
      "invalid_input",
      `price ${line.price} has more than ${minorDigits(currency)} decimals of ${currency}`,
    );
  }
  const sku = line.sku ?? derivedSku(line);
  const category = line.categories ? await ensureCategoryPath(deps, line.categories) : null;
  const existing = await deps.products.findBySku(canonicalKey(sku));
  const id = existing?._id ?? deps.random.id();
  const input = {
    name: line.name,
    description: line.description ?? "",
    brand: line.brand ?? null,
    categoryIds: category === null ? [] : [category._id],
    currency,
    variants: [{ sku, price }],
    // Names repeat in real catalogues; the SKU makes the slug one of a kind.
    slug: existing?.slug ?? line.slug ?? `${line.name.slice(0, 90)} ${sku.slice(-8)}`,
  };
  const product = {
    ...(await buildProduct(deps, id, input)),
    popularity: line.popularity ?? existing?.popularity ?? 0,
  };
  if (existing === null) {
    await deps.products.create(product);
    return "created";
  }
  if (imported(existing) === imported(product)) return "unchanged";
  const [variant] = existing.variants;
  const merged: ProductDocument = {
    ...existing,
    ...product,
    status: existing.status,
    createdAt: existing.createdAt,
    variants: product.variants.map((made) => ({ ...made, _id: variant?._id ?? made._id })),
  };
  if (!(await deps.products.replace(merged, existing.version))) {
    throw new AppError(
      "version_conflict",
      "somebody else changed the product at the same moment; import it again",
    );
  }
  return "updated";
}

/**
 * Imports NDJSON, one product a line, as a stream: a line at a time in memory. A product is found by its SKU,
 * so importing the same file twice changes nothing.
 * @param onLine called after each line with the sums so far and the fault, if there was one
 */
export async function importProducts(
  deps: Deps,
  stream: ReadableStream<Uint8Array>,
  onLine: (summary: ImportSummary, fault?: ImportFault) => void,
): Promise<ImportSummary> {
  const summary: ImportSummary = { lines: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };
  for await (const raw of readLines(stream)) {
    summary.lines++;
    const fail = (message: string) => {
      summary.failed++;
      onLine(summary, { line: summary.lines, message });
    };
    if ("error" in raw) {
      fail(raw.error);
      continue;
    }
    if (raw.text.trim() === "") continue;
    let json: unknown;
    try {
      json = JSON.parse(raw.text, (_key, value) =>
        typeof value === "string" ? repairControls(value) : value,
      );
    } catch {
      fail("is not valid JSON");
      continue;
    }
    const parsed = importLineSchema.safeParse(json);
    if (!parsed.success) {
      fail(
        parsed.error.issues.map((issue) => `${issue.path.join(".") || "line"} ${issue.message}`).join("; "),
      );
      continue;
    }
    try {
      summary[await importOne(deps, parsed.data)]++;
      onLine(summary);
    } catch (error) {
      if (!(error instanceof AppError) || error.status >= 500) throw error;
      fail(error.errors?.map(({ path, message }) => `${path} ${message}`).join("; ") ?? error.detail);
    }
  }
  return summary;
}

import type { ImportProgress, SampleProduct } from "./shapes";

/** One product of a dry run, on one line. */
function lineOf({ row, outcome, slug, name, status, ...more }: SampleProduct): string {
  const variants = more.variants.map(({ sku, price, currency, options }) =>
    [sku, price, currency, ...options].join(" "),
  );
  const rest = more.variantCount - variants.length;
  const parts = [
    status,
    ...(more.brand === null ? [] : [more.brand]),
    ...more.categories.map((path) => path.join(" > ")),
    ...(more.pictures === 0 ? [] : [`${more.pictures} pictures`]),
    ...variants,
    ...(rest > 0 ? [`${rest} more variants`] : []),
  ];
  return `  row ${row}: ${outcome} ${slug} "${name}" (${parts.join("; ")})`;
}

/**
 * Prints what an import did, or would do: the sums, the first fault of each kind, what was left out, and of a dry run
 * some products.
 * @returns the exit code: 1 when something was refused or there was nothing
 */
export function printResult(path: string, result: ImportProgress, dryRun: boolean): number {
  const { rows, created, updated, unchanged, failed, pictures, kinds = [], samples = [] } = result;
  console.log(
    `${rows} rows${dryRun ? ", a dry run that changed nothing" : ""}: ${created} created, ${updated} updated, ` +
      `${unchanged} unchanged, ${failed} bad.`,
  );
  if (pictures) {
    const { found, there, added, failed: missing } = pictures;
    console.log(
      dryRun
        ? `Pictures: ${found} to fetch, those left out that the products have already.`
        : `Pictures: ${found}, of which ${added} were fetched, ${there} were there already, ${missing} cannot be had.`,
    );
  }
  if (kinds.length > 0) console.log("Bad rows, the first of each kind:");
  for (const { row, message, count } of kinds) console.log(`  ${count} like row ${row}: ${message}`);
  for (const [what, count] of Object.entries(result.ignored ?? {})) {
    console.log(`Left out or without effect: ${what} (${count} rows).`);
  }
  if (samples.length > 0) console.log("The first products:");
  for (const sample of samples) console.log(lineOf(sample));
  const nothing = created + updated + unchanged + failed === 0;
  if (nothing) console.error(`${path} is empty: nothing was imported.`);
  return failed > 0 || nothing || (pictures?.failed ?? 0) > 0 ? 1 : 0;
}

import type { AnalyticsDeps } from "../deps";
import { mergeProducts } from "./meaning";
import type { ReadEvent } from "./read";

/** Gives products that only an SKU names the id that the catalogue knows them by; others keep the SKU. */
export async function nameProducts(deps: AnalyticsDeps, events: ReadEvent[]): Promise<void> {
  const skus = new Set(
    events.flatMap(({ bySku }) => (bySku ?? []).flatMap(({ sku }) => (sku === undefined ? [] : [sku]))),
  );
  if (skus.size === 0) return;
  const ids = await deps.productPopularity.idsBySku([...skus]);
  for (const { document, bySku } of events) {
    if (bySku === null) continue;
    document.products = mergeProducts(
      bySku.map(({ id, quantity, sku }) => ({ id: (sku && ids.get(sku)) || id, quantity })),
    );
  }
}

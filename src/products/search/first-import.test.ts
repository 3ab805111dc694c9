import { expect, test } from "bun:test";
import { useTestApp } from "../../../test/app";
import { importProducts } from "../bulk/import";
import { planRebuild } from "./jobs";

const t = useTestApp();

/** Imports as many new products. @returns how many were made */
const imported = async (count: number): Promise<number> => {
  const lines = Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      name: `Potoroo mug ${index}`,
      categories: [["Mugs"]],
      price: "1.00",
      sku: `POT-${index}`,
    }),
  );
  const source = async function* () {
    yield new TextEncoder().encode(lines.join("\n"));
  };
  return (await importProducts(t.deps, source, { format: "ndjson" }, () => undefined)).created;
};

test("the first products of a shop leave an index that no server makes anew", async () => {
  expect(await imported(1)).toBe(1);
  expect(await t.deps.search.isOutdated()).toBe(false);
  await planRebuild(t.deps);
  expect(await t.deps.mongo.connection.collection("jobs").countDocuments({ kind: "search.rebuild" })).toBe(0);
});

test("an import leaves to no search what to take into segments", async () => {
  expect(await imported(300)).toBe(299);
  const { manifest } = await t.deps.searchIndex.segments.head();
  expect(await t.deps.searchIndex.documents.changedSince(manifest.epoch, 1000)).toEqual([]);
  expect(manifest.segments.reduce((sum, { count }) => sum + count, 0)).toBe(300);
});

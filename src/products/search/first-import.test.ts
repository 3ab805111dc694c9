import { expect, test } from "bun:test";
import { useTestApp } from "../../../test/app";
import { importProducts } from "../bulk/import";
import { planRebuild } from "./jobs";

const t = useTestApp();

test("the first products of a shop leave an index that no server makes anew", async () => {
  const line = { name: "Potoroo mug", categories: [["Mugs"]], price: "1.00", sku: "POTOROO" };
  const source = async function* () {
    yield new TextEncoder().encode(JSON.stringify(line));
  };
  const { created } = await importProducts(t.deps, source, { format: "ndjson" }, () => undefined);
  expect(created).toBe(1);
  expect(await t.deps.search.isOutdated()).toBe(false);
  await planRebuild(t.deps);
  expect(await t.deps.mongo.connection.collection("jobs").countDocuments({ kind: "search.rebuild" })).toBe(0);
});

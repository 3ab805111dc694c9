/**
 * bun run stock:verify [--sku SKU] [--repair] — recomputes every level from its movements while sales go on
 * and prints each difference. Ends with 1 when there is one that was not repaired.
 */
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { parseConfig } from "../config";
import { whenConnected } from "../db/mongo";
import { commandDeps } from "../program";
import { repairSku, verifyAll, verifySku } from "./verify";

async function main(): Promise<number> {
  const { sku, repair: mayRepair = false } = readCommandLine(COMMANDS["stock:verify"]).values;
  const config = parseConfig({ ...process.env, LOG_LEVEL: "warn" });
  const deps = await commandDeps(config);
  try {
    await whenConnected(deps.mongo);
    const started = performance.now();
    const { levels, movements, differences } =
      sku === undefined ? await verifyAll(deps) : await verifySku(deps, sku);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    for (const { problem, level, movements: sum, held, ...where } of differences) {
      console.log(
        `${where.sku} at ${where.locationId}: ${problem}. Level ${level.onHand} on hand, ${level.reserved} reserved, sequence ${level.sequence}; ` +
          `movements ${sum.onHand}, ${sum.reserved}, ${sum.count} up to ${sum.lastSequence}; held ${held}.`,
      );
    }
    console.log(
      `${levels} levels, ${movements} movements, ${differences.length} differences in ${seconds} s.`,
    );
    if (!mayRepair || differences.length === 0) return differences.length === 0 ? 0 : 1;
    let entries = 0;
    for (const wrong of new Set(differences.map((difference) => difference.sku))) {
      entries += (await repairSku(deps, "system", wrong)).movements.length;
    }
    console.log(`${entries} correcting entries written.`);
    return 0;
  } finally {
    await deps.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(error.message);
      return 1;
    }),
  );
}

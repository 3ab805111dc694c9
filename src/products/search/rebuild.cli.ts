/**
 * bun run search rebuild (or search:rebuild) — rebuilds the search index from the products. The shop stays open:
 * searches use the index that there is until the new one takes its place, and nothing that is written meanwhile is lost.
 */
import { readCommandLine } from "../../cli";
import { COMMANDS } from "../../commands";
import { whenConnected } from "../../db/mongo";
import { createProgress } from "../../lib/progress";
import { commandDeps, configOrExit } from "../../program";

async function main(): Promise<number> {
  if (readCommandLine(COMMANDS.search).positionals[0] !== "rebuild") {
    console.error(COMMANDS.search.usage);
    return 2;
  }
  const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
  const deps = await commandDeps(config);
  try {
    await whenConnected(deps.mongo);
    const products = await deps.products.count();
    const progress = createProgress("Rebuilding", products * 2);
    await deps.search.rebuild((done) => progress.update(done, `${done} of ${products * 2} steps`));
    progress.end();
    console.log(`The search has ${products} products.`);
    return 0;
  } finally {
    await deps.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(`The rebuild stopped: ${error.message}\nThe index is as it was: run it again.`);
      return 1;
    }),
  );
}

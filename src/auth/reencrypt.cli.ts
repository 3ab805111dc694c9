/** `bun run reencrypt`: encrypts under the first key of DATA_KEY what an earlier one encrypted. */
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { commandDeps, configOrExit, databasesOrExit } from "../program";
import { reencryptAll } from "./mfa/secrets";

const { values } = readCommandLine(COMMANDS.reencrypt);
const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
await databasesOrExit(config);
const deps = await commandDeps(config);
try {
  const { version } = deps.vault;
  if (!values.status) {
    const { sealed, why } = await reencryptAll(deps, new AbortController().signal);
    console.log(`${sealed} secrets were encrypted anew under ${version}.`);
    if (why instanceof Error) console.error(why.cause instanceof Error ? why.cause.message : why.message);
  }
  const left = await deps.mfa.countNotUnder(version);
  const versions = left.map((one) => `${one.count} under ${one.keyVersion}`).join(", ");
  console.log(
    left.length === 0
      ? `Nothing is left under another key than ${version}: the others can be taken out of DATA_KEY.`
      : `Left: ${versions}. Keep these keys in DATA_KEY.`,
  );
  process.exitCode = left.length === 0 ? 0 : 1;
} finally {
  await deps.close();
}

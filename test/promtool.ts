import { existsSync } from "node:fs";
import { unpackedPath } from "../local/packages";

/** Prometheus' checker of rules: PROMTOOL's, the machine's, or what `bin/test` unpacked; undefined where there is none. */
export function promtoolPath(): string | undefined {
  const unpacked = unpackedPath("promtool");
  return process.env.PROMTOOL || Bun.which("promtool") || (existsSync(unpacked) ? unpacked : undefined);
}

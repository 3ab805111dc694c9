/**
 * bun run generate — makes Prisma's client from `prisma/schema.prisma`.
 *
 * `prisma generate` looks for Prisma's schema engine and downloads it when it is missing, but does not use it.
 * Any existing file in its place spares the download, which not every network allows.
 */
import { join } from "node:path";
import { $ } from "bun";
import { CHECKOUT } from "./paths";

const generated = await $`${join(CHECKOUT, "node_modules/.bin/prisma")} generate`
  .cwd(CHECKOUT)
  .env({ PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true", PRISMA_HIDE_UPDATE_MESSAGE: "1", ...process.env })
  .nothrow()
  .quiet();
if (generated.exitCode !== 0) {
  console.error(`${generated.stdout}${generated.stderr}`);
  console.error("Prisma's client could not be made from prisma/schema.prisma; see above.");
}
process.exit(generated.exitCode);

/**
 * What a new installation needs: roles and, when it is asked for, the first administrator; with `--demo` also a
 * catalogue for development. Running it again changes nothing that is there and brings nothing back that somebody
 * deleted.
 */

import { emailSchema, newPasswordSchema } from "../src/auth/schema";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";
import { withDeployLock } from "../src/db/deploy-lock";
import { AppError } from "../src/lib/errors";
import { ADMIN_ROLE } from "../src/lib/permissions";
import { canonicalKey } from "../src/lib/text";
import { commandDeps, configOrExit, databasesOrExit } from "../src/program";
import { createAccount, holdersOf } from "../src/users/admin/commands";
import { ensureRoles } from "../src/users/roles/ensure";
import type { Deps } from "../src/wire";
import { seedDemo } from "./demo";

/** Why nothing was seeded, or not all; the message says what to do. */
class SeedRefused extends Error {}

/**
 * The first administrator, when there is a password for one and nobody administers yet.
 * @returns what was done, in words
 * @throws SeedRefused for an address or a password that cannot be one
 */
export async function seedAdministrator(
  deps: Deps,
  email: string,
  password: string | undefined,
): Promise<string> {
  const administrators = (await holdersOf(deps, ADMIN_ROLE)).filter(({ status }) => status === "active");
  if (administrators.some((one) => canonicalKey(one.email) === canonicalKey(email)))
    return `${email} present`;
  if (administrators.length > 0) return `${email} not made: there is one already`;
  if (!password) return "skipped: SEED_ADMIN_PASSWORD is not set";
  for (const [variable, schema, text] of [
    ["SEED_ADMIN_EMAIL", emailSchema, email],
    ["SEED_ADMIN_PASSWORD", newPasswordSchema, password],
  ] as const) {
    const { error } = schema.safeParse(text);
    if (error) throw new SeedRefused(`${variable} ${error.issues[0]?.message}.`);
  }
  await createAccount(deps, { email, name: "Administrator", password, role: ADMIN_ROLE });
  return `${email} made`;
}

/** Seeds both databases. @returns one line that says what was done */
export async function seed(
  deps: Deps,
  administrator: { email: string; password: string | undefined },
  demo = false,
): Promise<string> {
  await ensureRoles(deps);
  const admin = await seedAdministrator(deps, administrator.email, administrator.password);
  const goods = demo ? ` ${await seedDemo(deps)}` : "";
  return `Roles in place. Administrator ${admin}.${goods}`;
}

async function main(): Promise<number> {
  const { demo = false } = readCommandLine(COMMANDS.seed).values;
  const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
  if (demo && config.environment === "production") {
    console.error(
      "Refused: --demo puts demo goods on sale, and NODE_ENV is production. Nothing was changed.",
    );
    return 1;
  }
  const deps = await commandDeps(config);
  try {
    await databasesOrExit(config, deps.mongo);
    const administrator = {
      email: process.env.SEED_ADMIN_EMAIL || "admin@aizy.local",
      password: process.env.SEED_ADMIN_PASSWORD,
    };
    // Each finds what the one before has made: two at once would make the same product and one would fail.
    console.log(await withDeployLock(config.databaseUrl, () => seed(deps, administrator, demo)));
    return 0;
  } catch (error) {
    if (error instanceof SeedRefused) console.error(error.message);
    else if (error instanceof AppError) {
      console.error([error.detail, ...(error.errors ?? []).map(({ message }) => message)].join(" "));
    } else throw error;
    return 1;
  } finally {
    await deps.close();
  }
}

if (import.meta.main) process.exit(await main());

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** The folder of this checkout. */
export const CHECKOUT = resolve(import.meta.dir, "..");

/** What belongs to this checkout and is not in Git: databases, secrets, logs, files. */
export const DATA = join(CHECKOUT, ".data");

/** What every checkout on this machine shares. */
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "aizy");

/** Short and stable name of this checkout, for sockets and Docker projects. */
export const CHECKOUT_ID = createHash("sha256").update(CHECKOUT).digest("hex").slice(0, 12);

/**
 * Where the supervisor of this checkout listens. Not in `.data/`: the address of a Unix socket holds 107
 * bytes at most, and a checkout may lie deep.
 */
export function supervisorSocket(): string {
  const folder = join(CACHE, "run");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, `${CHECKOUT_ID}.sock`);
}

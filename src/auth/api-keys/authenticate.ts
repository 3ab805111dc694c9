import { timingSafeEqual } from "node:crypto";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { isMac } from "../../lib/crypto";
import { AppError } from "../../lib/errors";
import type { AuthDeps } from "../deps";
import { TOUCH_EVERY } from "../rules";
import { digestOf, parseKey } from "./form";

/** Whether a key that an earlier version made, and nobody used since, has this secret. */
const isUndigested = async (deps: AuthDeps, secret: Uint8Array, secretHash: Uint8Array): Promise<boolean> =>
  isMac([...deps.keys("api-key"), ...(await deps.apiKeys.hashKeys())], secret, secretHash);

/**
 * Keeps what the keys of an earlier version were hashed under for as long as there are any that nobody used since,
 * so that they work after every secret of their time is gone.
 */
export async function keepHashKeys(deps: AuthDeps): Promise<void> {
  const now = deps.clock.now();
  if (await deps.apiKeys.hasUndigested(now)) await deps.apiKeys.keepHashKeys(deps.keys("api-key"), now);
}

/**
 * Who calls with a key: it may do what it and its owner both may, now. One round trip, but for the first
 * use of a key that an earlier version made.
 * @throws AppError unauthenticated, the same for every reason
 */
export async function actorOfKey(deps: AuthDeps, text: string): Promise<Actor> {
  const refuse = () => new AppError("unauthenticated", "The API key is not valid.");
  const given = parseKey(text);
  if (!given) throw refuse();
  const { id, secret } = given;
  const key = await deps.apiKeys.findLive(id);
  const now = deps.clock.now();
  if (!key || key.expiresAt <= now) throw refuse();
  const digest = digestOf(secret);
  const right = key.secretDigest
    ? timingSafeEqual(key.secretDigest, digest)
    : await isUndigested(deps, secret, key.secretHash);
  if (!right) throw refuse();
  if (!key.secretDigest) await deps.apiKeys.keepDigest(id, digest);
  const notSince = after(now, -TOUCH_EVERY);
  if (key.lastUsedAt === null || key.lastUsedAt < notSince) await deps.apiKeys.touch(id, now, notSince);
  const owner = new Set(key.ownerPermissions);
  return {
    kind: "apiKey",
    callerId: `key:${id}`,
    userId: key.userId,
    sessionId: null,
    permissions: new Set(key.permissions.filter((permission) => owner.has(permission))),
    owner: key.owner,
  };
}

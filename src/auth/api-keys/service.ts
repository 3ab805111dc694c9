import { createHash, timingSafeEqual } from "node:crypto";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { after, DAY, MINUTE } from "../../lib/clock";
import { isMac, macOf } from "../../lib/crypto";
import { AppError } from "../../lib/errors";
import { changeSignIn, proveAgain } from "../mfa/factors";
import type { Origin } from "../service";
import { formatKey, parseKey } from "./form";
import type { ApiKeyResponse, CreateApiKey, ListApiKeys } from "./schema";
import type { ApiKeyRow } from "./store";

/** Most keys of one person that work at once. */
export const MAX_KEYS = 50;
/** A key's last use is written at most so often. */
const TOUCH_EVERY = MINUTE;
const SECRET_BYTES = 32;

/**
 * What is kept of a key: of 256 random bits a plain hash is enough, and it needs no secret that may be changed.
 */
const digestOf = (secret: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(createHash("sha256").update(secret).digest());

const toApiKey = (row: Omit<ApiKeyRow, "secretDigest" | "secretHash">): ApiKeyResponse => ({
  id: row.id,
  name: row.name,
  permissions: row.permissions,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

/**
 * Makes a key for a server and tells its owner by mail. It is shown once and never again.
 * @throws AppError forbidden for a permission that its owner does not hold, conflict at the most keys, and as
 * `proveAgain` does
 */
export async function createApiKey(
  deps: Deps,
  actor: Actor,
  { name, permissions, expiresInDays, ...proof }: CreateApiKey,
  origin: Origin,
): Promise<ApiKeyResponse & { key: string }> {
  const missing = permissions.find((permission) => !actor.permissions.has(permission));
  if (missing) throw new AppError("forbidden", `You do not hold ${missing} yourself.`);
  await proveAgain(deps, actor, proof, origin);
  const secret = deps.random.bytes(SECRET_BYTES);
  const createdAt = deps.clock.now();
  const row = {
    id: deps.random.id(),
    userId: actor.userId,
    name,
    secretDigest: digestOf(secret),
    secretHash: macOf(deps.keys("api-key")[0], secret),
    permissions,
    createdAt,
    expiresAt: after(createdAt, expiresInDays * DAY),
  };
  const act = {
    action: "api_key.created",
    detail: { keyId: row.id, name, permissions },
    notice: "api_key_created",
    keys: { made: [name] },
  } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, now) => {
    if ((await deps.apiKeys.countWorking(actor.userId, now, tx)) >= MAX_KEYS) {
      throw new AppError("conflict", `You have ${MAX_KEYS} keys that work. Revoke one first.`);
    }
    await deps.apiKeys.create(row, tx);
  });
  return { ...toApiKey({ ...row, lastUsedAt: null }), key: formatKey(row.id, secret) };
}

/** The caller's keys that were not revoked, the newest first, in pages. */
export async function listApiKeys(
  deps: Deps,
  actor: Actor,
  { limit, cursor }: ListApiKeys,
): Promise<{ data: ApiKeyResponse[]; page: { nextCursor: string | null; hasMore: boolean } }> {
  const filter = { list: "api-keys", user: actor.userId };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.apiKeys.ofUser(actor.userId, {
    limit: limit + 1,
    ...(position && { before: { createdAt: new Date(String(position[0])), id: String(position[1]) } }),
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(toApiKey),
    page: {
      nextCursor:
        hasMore && last ? deps.cursors.encode([last.createdAt.toISOString(), last.id], filter) : null,
      hasMore,
    },
  };
}

/** Every key of a person that was not revoked, for the export of their data. */
export const allApiKeys = async (deps: Deps, userId: string): Promise<ApiKeyResponse[]> =>
  (await deps.apiKeys.ofUser(userId)).map(toApiKey);

/**
 * Ends a key at once and tells its owner by mail. It asks for no proof: whoever lost a key should be quick.
 * @throws AppError not_found for one that is not the caller's
 */
export async function revokeApiKey(deps: Deps, actor: Actor, id: string, origin: Origin): Promise<void> {
  const key = await deps.apiKeys.find(id, actor.userId);
  const none = () => new AppError("not_found", "You have no such key.");
  if (!key) throw none();
  const act = {
    action: "api_key.revoked",
    detail: { keyId: id },
    notice: "api_key_revoked",
    keys: { revoked: [key.name] },
  } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, now) => {
    if (!(await deps.apiKeys.revoke(id, actor.userId, now, tx))) throw none();
  });
}

/** Whether a key that an earlier version made, and nobody used since, has this secret. */
const isUndigested = async (deps: Deps, secret: Uint8Array, secretHash: Uint8Array): Promise<boolean> =>
  isMac([...deps.keys("api-key"), ...(await deps.apiKeys.hashKeys())], secret, secretHash);

/**
 * Keeps what the keys of an earlier version were hashed under for as long as there are any that nobody used since,
 * so that they work after every secret of their time is gone.
 */
export async function noteHashKeys(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  if (await deps.apiKeys.hasUndigested(now)) await deps.apiKeys.noteHashKeys(deps.keys("api-key"), now);
}

/**
 * Who calls with a key: it may do what it and its owner both may, now. One round trip, but for the first
 * use of a key that an earlier version made.
 * @throws AppError unauthenticated, the same for every reason
 */
export async function actorOfKey(deps: Deps, text: string): Promise<Actor> {
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
  };
}

import { newAuditEntry, person } from "../../audit/entry";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { isId } from "../../lib/text";
import { deviceName } from "../../lib/user-agent";
import type { Origin } from "../service";
import type { DeviceResponse } from "./schema";

/** The device of the session that the caller uses. */
export async function deviceOf(deps: Deps, { sessionId }: Pick<Actor, "sessionId">): Promise<string | null> {
  return sessionId === null ? null : ((await deps.sessions.find(sessionId))?.deviceId ?? null);
}

/** The caller's known devices, the last used first. */
export async function listDevices(
  deps: Deps,
  actor: Actor,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ data: DeviceResponse[]; page: { nextCursor: string | null; hasMore: boolean } }> {
  const filter = { list: "devices", user: actor.userId };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const own = await deviceOf(deps, actor);
  const rows = await deps.devices.list(actor.userId, {
    now: deps.clock.now(),
    limit: limit + 1,
    ...(position === undefined
      ? {}
      : { before: { lastUsedAt: new Date(String(position[0])), id: String(position[1]) } }),
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map((row) => ({
      id: row.id,
      device: deviceName(row.userAgent),
      userAgent: row.userAgent,
      ip: row.ip,
      current: row.id === own,
      createdAt: row.createdAt.toISOString(),
      lastUsedAt: row.lastUsedAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
    })),
    page: {
      nextCursor:
        hasMore && last ? deps.cursors.encode([last.lastUsedAt.toISOString(), last.id], filter) : null,
      hasMore,
    },
  };
}

/**
 * Forgets one of the caller's devices, or all but the one they use: it counts as a stranger's from then on.
 * Sessions go on.
 * @returns how many were known
 * @throws AppError not_found when the one is not theirs, or was forgotten before
 */
export async function forgetDevices(
  deps: Deps,
  actor: Actor,
  id: string | undefined,
  origin: Origin,
): Promise<{ forgotten: number }> {
  if (id !== undefined && !isId(id)) throw noSuchDevice();
  const now = deps.clock.now();
  const which = id === undefined ? { except: await deviceOf(deps, actor), now } : { id, now };
  const entry = newAuditEntry(deps, "device.forgotten", { actor: person(actor.userId), origin });
  const forgotten = await deps.mysql.transaction(async (tx) => {
    const count = await deps.devices.forget(actor.userId, which, tx);
    if (id !== undefined && count === 0) throw noSuchDevice();
    const deviceId: Record<string, string> = id === undefined ? {} : { deviceId: id };
    await deps.audit.record({ ...entry, detail: { forgotten: count, ...deviceId } }, tx);
    return count;
  });
  return { forgotten };
}

const noSuchDevice = () => new AppError("not_found", "You have no such device.");

import type { Actor } from "../../lib/actor";
import { deviceName } from "../../lib/user-agent";
import type { AuthDeps } from "../deps";
import { deviceOf } from "./known";
import type { DeviceResponse } from "./schema";

/** The caller's known devices, the last used first. */
export async function listDevices(
  deps: AuthDeps,
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

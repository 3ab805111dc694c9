import type { Actor } from "../../lib/actor";
import { type Page, pageFrom } from "../../lib/paging";
import { deviceName } from "../../lib/user-agent";
import type { AuthDeps } from "../deps";
import { deviceOf } from "./known";
import type { DeviceResponse } from "./schema";

/** The caller's known devices, the last used first. */
export async function listDevices(
  deps: AuthDeps,
  actor: Actor,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<DeviceResponse>> {
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
  return pageFrom(
    deps,
    rows,
    limit,
    filter,
    (row) => ({
      id: row.id,
      device: deviceName(row.userAgent),
      userAgent: row.userAgent,
      ip: row.ip,
      current: row.id === own,
      createdAt: row.createdAt.toISOString(),
      lastUsedAt: row.lastUsedAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
    }),
    (last) => [last.lastUsedAt.toISOString(), last.id],
  );
}

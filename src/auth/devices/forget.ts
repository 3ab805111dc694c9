import { mutate, newAuditEntry, person } from "../../audit";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { isId } from "../../lib/text";
import type { AuthDeps } from "../deps";
import type { Origin } from "../origin";
import { deviceOf } from "./known";

/**
 * Forgets one of the caller's devices, or all but the one they use: it counts as a stranger's from then on.
 * Sessions go on.
 * @returns how many were known
 * @throws AppError not_found when the one is not theirs, or was forgotten before
 */
export async function forgetDevices(
  deps: AuthDeps,
  actor: Actor,
  id: string | undefined,
  origin: Origin,
): Promise<{ forgotten: number }> {
  if (id !== undefined && !isId(id)) throw noSuchDevice();
  const now = deps.clock.now();
  const which = id === undefined ? { except: await deviceOf(deps, actor), now } : { id, now };
  const audit = newAuditEntry(deps, "device.forgotten", { actor: person(actor.userId), origin });
  return mutate(deps, "mysql", { audit }, async (tx, { tell }) => {
    const forgotten = await deps.devices.forget(actor.userId, which, tx);
    if (id !== undefined && forgotten === 0) throw noSuchDevice();
    const deviceId: Record<string, string> = id === undefined ? {} : { deviceId: id };
    tell({ forgotten, ...deviceId });
    return { forgotten };
  });
}

const noSuchDevice = () => new AppError("not_found", "You have no such device.");

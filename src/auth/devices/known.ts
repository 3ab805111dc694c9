import type { Actor } from "../../lib/actor";
import type { AuthDeps } from "../deps";
import type { Origin } from "../origin";

/** The id of a device unless it was forgotten since its token was given out. */
export const stillKnown = async (deps: AuthDeps, deviceId: string | null): Promise<string | null> =>
  deviceId !== null && (await deps.devices.isForgotten(deviceId)) ? null : deviceId;

/** The device that a request comes from, when it is a known one of this person; null for strangers. */
export async function knownDevice(
  deps: AuthDeps,
  userId: string | undefined,
  { deviceTokens = [] }: Origin,
): Promise<string | null> {
  if (userId === undefined) return null;
  for (const token of deviceTokens) {
    const id = await stillKnown(deps, deps.tokens.readDevice(token, userId));
    if (id !== null) return id;
  }
  return null;
}

/** The known device, whoever's it is, that a request comes from, for limits that concern no account. */
export async function anyKnownDevice(deps: AuthDeps, { deviceTokens = [] }: Origin): Promise<string | null> {
  for (const token of deviceTokens) {
    const owner = deps.tokens.deviceOwner(token);
    const id = owner === null ? null : await stillKnown(deps, deps.tokens.readDevice(token, owner));
    if (id !== null) return id;
  }
  return null;
}

/** The device of the session that the caller uses. */
export async function deviceOf(
  deps: AuthDeps,
  { sessionId }: Pick<Actor, "sessionId">,
): Promise<string | null> {
  return sessionId === null ? null : ((await deps.sessions.find(sessionId))?.deviceId ?? null);
}

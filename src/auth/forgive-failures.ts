import type { UserRow } from "../users";
import { signedInDevice } from "./check-password";
import type { AuthDeps } from "./deps";
import type { Origin } from "./origin";

/** Most devices of one address that a proof speaks for. */
const DEVICES = 20;

/**
 * After a proof that an account is theirs, nothing that was guessed wrong from their place stops its owner any
 * longer; what others brought about stays counted.
 * @param deviceId the known device that the proof came from
 * @param proof see `Throttle.forgive`
 */
export async function forgiveFailures(
  deps: AuthDeps,
  user: Pick<UserRow, "id" | "emailCanonical">,
  origin: Origin,
  { deviceId, proof }: { deviceId: string | null; proof: "mailbox" | "whole" },
): Promise<void> {
  // Also the devices of that place: a client may not send its device token with every request.
  const near = await deps.devices.idsAt(user.id, origin.ip, DEVICES);
  const deviceIds = [
    ...new Set([signedInDevice(user.id), ...near, ...(deviceId === null ? [] : [deviceId])]),
  ];
  await deps.throttle.forgive(user.emailCanonical, origin.ip, { deviceIds, proof });
}

import type { AuthDeps } from "./deps";
import { requesterOf } from "./hash-queue";
import { recordLock } from "./lockout";
import type { Origin } from "./origin";
import type { Guesser } from "./throttle";

/**
 * Compares a password and counts a wrong one against its source.
 * @param hash null does the same work for an account that has none
 * @param by the known device that asks, or `signedInDevice` for somebody who is signed in
 * @throws AppError too_many_requests
 */
export async function checkPassword(
  deps: AuthDeps,
  { hash, password }: { hash: string | null; password: string },
  { account, deviceId }: Pick<Guesser, "account" | "deviceId">,
  origin: Origin,
): Promise<boolean> {
  // With limits in Redis nothing is written before the hash is made, and hashes would queue up for nothing.
  deps.mysql.expectWrites();
  const right = await deps.throttle.guess(
    "password",
    { account, ip: origin.ip, deviceId: deviceId ?? null },
    async () => (await deps.passwords.verify(hash, password, requesterOf(origin.ip, deviceId))) || null,
    recordLock(deps, "password", account, origin),
  );
  return right !== null;
}

/** Somebody signed in counts as a known device: failures of strangers do not stop them. */
export const signedInDevice = (userId: string): string => `user:${userId}`;

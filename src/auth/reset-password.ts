import { AppError } from "../lib/errors";
import { countRequest } from "./count-request";
import type { AuthDeps } from "./deps";
import { knownDevice } from "./devices/known";
import type { Origin } from "./origin";
import { replacePassword } from "./replace-password";

const wrongLink = () =>
  new AppError("invalid_code", "The link is wrong, used or no longer good. Ask for a new one.");

/**
 * Sets a new password with the token of a mailed link, which works once. Every session ends. Nobody is signed in by
 * it, so a second factor is still asked for.
 * @throws AppError invalid_code for every reason alike
 */
export async function resetPassword(
  deps: AuthDeps,
  { token, ...wanted }: { token: string; password: string; revokeApiKeys: boolean; forgetDevices: boolean },
  origin: Origin,
): Promise<void> {
  await countRequest(deps, "reset", origin);
  const [, codeId = "", secret = ""] = /^([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})$/.exec(token) ?? [];
  const row = codeId === "" ? null : await deps.codes.find(codeId);
  const user = row?.user;
  if (
    row?.purpose !== "reset_password" ||
    !user ||
    row.consumedAt !== null ||
    row.expiresAt <= deps.clock.now() ||
    !deps.otp.matches(secret, row.id, row.codeHash)
  ) {
    throw wrongLink();
  }
  const replacement = {
    ...wanted,
    field: "password",
    why: "password_reset",
    deviceId: await knownDevice(deps, user.id, origin),
    async before(tx, now) {
      if (!(await deps.codes.use(row.id, now, tx))) throw wrongLink();
    },
    refuse: wrongLink,
  } satisfies Parameters<typeof replacePassword>[2];
  await replacePassword(deps, user, replacement, origin);
}

import { ANONYMOUS, mutate, newAuditEntry } from "../audit";
import { after } from "../lib/clock";
import { emailKey } from "../lib/email";
import { countRequest } from "./count-request";
import type { AuthDeps } from "./deps";
import { knownDevice } from "./devices/known";
import { languageIn, type Origin } from "./origin";
import { RESET_TTL } from "./rules";

/**
 * Mails a link for a new password. The same is written for every address, known or not; the sender of the
 * mail finds out whose it is.
 */
export async function forgotPassword(
  deps: AuthDeps,
  { email }: { email: string },
  origin: Origin,
): Promise<{ expiresIn: number }> {
  await countRequest(deps, "forgot", origin);
  const now = deps.clock.now();
  const [codeId, jobId] = [deps.random.id(), deps.random.id()];
  const user = await deps.users.findByEmail(emailKey(email));
  const deviceId = await knownDevice(deps, user?.id, origin);
  const audit = newAuditEntry(deps, "password.reset_requested", {
    actor: ANONYMOUS,
    subjectUserId: user?.id ?? null,
    origin,
  });
  await mutate(deps, "mysql", { audit }, async (tx) => {
    await deps.codes.create(
      {
        id: codeId,
        userId: user?.id ?? null,
        purpose: "reset_password",
        requestedIp: origin.ip,
        requestedAt: now,
        expiresAt: after(now, RESET_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      {
        id: jobId,
        kind: "mail.reset_password",
        payload: { codeId, deviceId, ...languageIn(origin) },
        runAt: now,
      },
      tx,
    );
  });
  return { expiresIn: RESET_TTL / 1000 };
}

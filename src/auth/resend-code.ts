import type { Deps } from "../deps";
import { after } from "../lib/clock";
import { canonicalKey } from "../lib/text";
import { type Registration, registration } from "./register";
import { ATTEMPT_TTL, CODE_TTL, RESEND_AFTER } from "./rules";

/** Mails a new code for a registration, at most once a minute. The answer never says whether it did. */
export async function resendRegistrationCode(
  deps: Deps,
  { registrationId, email }: { registrationId: string; email: string },
  ip: string,
): Promise<Registration> {
  await deps.throttle.request("resend", ip);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const row = await deps.codes.find(registrationId);
  const open =
    row !== null &&
    row.purpose === "register" &&
    row.consumedAt === null &&
    row.user?.emailCanonical === canonicalKey(email) &&
    row.createdAt > after(now, -ATTEMPT_TTL);
  if (open) {
    await deps.mysql.transaction(async (tx) => {
      const asked = { now, ip, notSince: after(now, -RESEND_AFTER), expiresAt: after(now, CODE_TTL) };
      const due = await deps.codes.renew(row.id, asked, tx);
      if (!due) return;
      await deps.jobs.mysql.enqueue(
        { id: jobId, kind: "mail.verification_code", payload: { codeId: row.id }, runAt: now },
        tx,
      );
    });
    deps.jobs.wake();
  }
  return registration(registrationId);
}

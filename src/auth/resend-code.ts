import { mutate } from "../audit";
import { after } from "../lib/clock";
import { emailKey } from "../lib/email";
import { countRequest } from "./count-request";
import type { AuthDeps } from "./deps";
import { languageIn, type Origin } from "./origin";
import { type Registration, registration } from "./register";
import { ATTEMPT_TTL, RESEND_AFTER } from "./rules";

/** Mails a new code for a registration, at most once a minute. The answer never says whether it did. */
export async function resendRegistrationCode(
  deps: AuthDeps,
  { registrationId, email }: { registrationId: string; email: string },
  origin: Origin,
): Promise<Registration> {
  await countRequest(deps, "resend", origin);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const row = await deps.codes.find(registrationId);
  const open =
    row !== null &&
    row.purpose === "register" &&
    row.consumedAt === null &&
    row.user?.emailCanonical === emailKey(email) &&
    row.createdAt > after(now, -ATTEMPT_TTL);
  if (open) {
    await mutate(deps, "mysql", {}, async (tx) => {
      const asked = { now, ip: origin.ip, notSince: after(now, -RESEND_AFTER) };
      const due = await deps.codes.renew(row.id, asked, tx);
      if (!due) return;
      await deps.jobs.mysql.enqueue(
        {
          id: jobId,
          kind: "mail.verification_code",
          payload: { codeId: row.id, ...languageIn(origin) },
          runAt: now,
        },
        tx,
      );
    });
  }
  return registration(registrationId);
}

import { after } from "../clock";
import type { Deps } from "../deps";
import type { JobHandler } from "../jobs/runner";
import { JobRefused } from "../jobs/runner";
import { accountExistsMail, verificationCodeMail } from "../mail/templates";
import { CODE_TTL } from "./rules";

const idIn = (payload: unknown, key: string): string => {
  const value = (payload as Record<string, unknown> | null)?.[key];
  if (typeof value !== "string") throw new JobRefused(`the payload has no ${key}`);
  return value;
};

/**
 * Sends the code of a `verification_codes` row. The queue holds only the row's id: the code is made here and
 * kept as a keyed hash, so that no code lies readable anywhere. A repeated try makes a new code.
 */
const sendVerificationCode =
  (deps: Deps): JobHandler =>
  async ({ job }) => {
    const row = await deps.auth.findCode(idIn(job.payload, "codeId"));
    if (!row?.user || row.consumedAt !== null) return;
    const code = deps.otp.generate();
    const expiresAt = after(deps.clock.now(), CODE_TTL);
    if (!(await deps.auth.setCodeHash(row.id, deps.otp.hash(code, row.id), expiresAt))) return;
    const content = await verificationCodeMail(row.pendingName ?? row.user.name, code, CODE_TTL / 60_000);
    await deps.mail.send({ to: row.user.email, ...content });
  };

const sendAccountExists =
  (deps: Deps): JobHandler =>
  async ({ job }) => {
    const user = await deps.users.findById(idIn(job.payload, "userId"));
    if (user) await deps.mail.send({ to: user.email, ...(await accountExistsMail(user.name)) });
  };

/** What /auth leaves for later. */
export const authJobs = (deps: Deps): Record<string, JobHandler> => ({
  "mail.verification_code": sendVerificationCode(deps),
  "mail.account_exists": sendAccountExists(deps),
});

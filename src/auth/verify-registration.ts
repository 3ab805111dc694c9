import { mutate, newAuditEntry, person } from "../audit";
import { emailKey } from "../lib/email";
import { AppError } from "../lib/errors";
import { BASE_ROLE } from "../lib/permissions";
import { toUserResponse, type UserResponse } from "../users";
import type { AuthDeps } from "./deps";
import { recordLock } from "./lockout";
import type { Origin } from "./origin";
import { MAX_CODE_FAILURES } from "./rules";

const wrongCode = () =>
  new AppError(
    "invalid_code",
    "The code is wrong, used or no longer good. Ask for a new one or register again.",
  );

/**
 * Proves an address with the code mailed for a registration; the account then has that attempt's password,
 * and every other attempt for the address dies.
 * @throws AppError invalid_code for every reason alike
 */
export async function verifyRegistration(
  deps: AuthDeps,
  { registrationId, email, otp }: { registrationId: string; email: string; otp: string },
  origin: Origin,
): Promise<UserResponse> {
  const now = deps.clock.now();
  const emailCanonical = emailKey(email);
  const check = async () => {
    const found = await deps.codes.find(registrationId);
    if (
      found?.purpose !== "register" ||
      found.user?.emailCanonical !== emailCanonical ||
      found.consumedAt !== null ||
      found.expiresAt <= now
    ) {
      throw wrongCode();
    }
    // Counted before it is judged, so that tries at once cannot exceed the limit.
    if (!(await deps.codes.countTry(found.id, MAX_CODE_FAILURES))) throw wrongCode();
    return deps.otp.matches(otp, found.id, found.codeHash) ? found : null;
  };
  const row = await deps.throttle.guess(
    "code",
    { account: emailCanonical, ip: origin.ip },
    check,
    recordLock(deps, "code", emailCanonical, origin),
  );
  const owner = row?.user;
  const { pendingHashedPassword: hashedPassword, pendingName: name } = row ?? {};
  if (!row || !owner || !hashedPassword || !name) throw wrongCode();
  const audit = newAuditEntry(deps, "account.verified", { actor: person(owner.id), origin });
  const user = await mutate(deps, "mysql", { audit }, async (tx) => {
    if (!(await deps.codes.use(row.id, now, tx))) throw wrongCode();
    if (!(await deps.users.verify(owner.id, { name, email, hashedPassword, now }, tx))) throw wrongCode();
    await deps.codes.endAll(owner.id, "register", now, tx);
    await deps.roles.grantNamed(owner.id, BASE_ROLE, now, tx);
    return deps.users.findById(owner.id, tx);
  });
  if (!user) throw wrongCode();
  return toUserResponse(user, [BASE_ROLE]);
}

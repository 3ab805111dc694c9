import { ANONYMOUS, newAuditEntry } from "../audit";
import type { AuthDeps } from "./deps";
import type { Origin } from "./origin";
import type { GuessKind, LockScope } from "./throttle";

/** Gives what `deps.throttle.guess` calls when a guess reached a limit: notes the lock in the audit log. */
export const recordLock =
  (deps: AuthDeps, kind: GuessKind, emailCanonical: string, origin: Origin) =>
  async (scopes: LockScope[]): Promise<void> => {
    // Asked for an unknown address too, so that time does not tell.
    const user = await deps.users.findByEmail(emailCanonical);
    await deps.audit.record(
      newAuditEntry(deps, "sign_in.locked_out", {
        actor: ANONYMOUS,
        subjectUserId: user?.id ?? null,
        origin,
        detail: { kind, scopes },
      }),
    );
  };

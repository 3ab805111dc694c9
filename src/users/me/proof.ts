import type { AuditAction } from "../../audit/actions";
import { newAuditEntry, person } from "../../audit/entry";
import { proveAgain } from "../../auth/mfa/factors";
import type { Proof } from "../../auth/mfa/schema";
import type { Origin } from "../../auth/service";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { UserRow } from "../store";

/**
 * Makes sure once more who is asking, by the password and the second factor if there is one, before a change
 * that a thief of their device must not make. A wrong proof is in the audit log.
 * @param refused what the log calls a wrong one
 * @returns the account as it was when the proof was checked
 * @throws AppError invalid_input when something is missing, invalid_credentials, invalid_code, too_many_requests
 */
export async function proveOwner(
  deps: Deps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
  refused: AuditAction,
): Promise<UserRow> {
  try {
    return await proveAgain(deps, actor, proof, origin);
  } catch (error) {
    if (error instanceof AppError && ["invalid_credentials", "invalid_code"].includes(error.code)) {
      await deps.audit.record(newAuditEntry(deps, refused, { actor: person(actor.userId), origin }));
    }
    throw error;
  }
}

/**
 * What the audit log records, each with what it means. A closed list that only grows: entries keep their
 * action for ever, so none is renamed or taken away.
 */
export const AUDIT_ACTIONS = {
  "account.verified": "An address was proved and the account made",
  "sign_in.succeeded": "A session was opened",
  "sign_in.failed": "A sign-in was refused",
  "sign_in.locked_out": "Guessing was stopped for a time, by source, account or address",
  "session.signed_out": "A person signed out",
  "session.ended": "A person ended another of their sessions",
  "session.others_ended": "A person ended all their other sessions",
  "session.token_reused": "A refresh token was used twice and its session ended",
  "device.forgotten": "A person forgot one or all of their known devices",
  "password.reset_requested": "A link for a new password was asked for",
  "password.reset": "A password was set with a mailed link",
  "password.changed": "A password was changed by its owner",
  "password.change_failed": "A change of password was refused: the current one was wrong",
  "api_key.created": "An API key was made",
  "api_key.revoked": "An API key was revoked",
  "second_factor.enrolled": "An authenticator app began to count, alone or in place of an earlier one",
  "second_factor.disabled": "A person took their second factor away",
  "second_factor.failed": "A code of a second factor was wrong or used",
  "second_factor.change_refused": "A change of how a person signs in was refused: the password was wrong",
  "backup_codes.renewed": "New backup codes were made in place of all earlier ones",
  "backup_code.used": "A backup code was used",
  "passkey.added": "A passkey was added",
  "passkey.removed": "A passkey was removed",
  "profile.changed": "A person changed their name or picture",
  "preferences.changed": "A person changed their preferences, consent to marketing among them",
  "notices.changed": "A person changed which mails they want",
  "email_change.requested": "A change of address was asked for",
  "email_change.refused": "A change of address was refused: the password or the second factor was wrong",
  "email_change.cancelled": "A change of address was taken back before it was confirmed",
  "email_change.completed": "An address was changed, confirmed by the old and the new one",
  "export.requested": "A person asked for an export of their data",
  "export.downloaded": "A person fetched an export of their data",
  "account.deletion_refused": "A deletion was refused: the password or the second factor was wrong",
  "account.deleted": "A person deleted their account",
  "account.erased": "What told of a deleted person was erased",
  "account.created": "An account was made by a command on the server",
  "user.banned": "An account was banned and its sessions ended",
  "user.unbanned": "A ban was lifted",
  "user.roles_changed": "Roles were granted or taken away",
  "user.second_factor_removed": "An administrator took a lost second factor away",
  "user.password_reset_started": "An administrator had a link for a new password mailed to somebody",
  "user.email_change_started": "An administrator started a change of somebody's address",
  "user.sessions_ended": "An administrator ended every session of an account",
  "role.created": "A role was made",
  "role.changed": "A role got another description or other permissions",
  "role.deleted": "A role was deleted",
  "product.created": "A product was created",
  "product.changed": "A product was changed: which fields, and which prices",
  "product.deleted": "A product was deleted; it can be restored",
  "product.restored": "A deleted product was brought back",
  "search_synonym.created": "A synonym of the search was created",
  "search_synonym.changed": "A synonym of the search was changed",
  "search_synonym.deleted": "A synonym of the search was deleted",
  "search_rule.created": "A rule of the search was created: pinned or hidden products, or a redirect",
  "search_rule.changed": "A rule of the search was changed",
  "search_rule.deleted": "A rule of the search was deleted",
} as const;

export type AuditAction = keyof typeof AUDIT_ACTIONS;

export const ALL_AUDIT_ACTIONS = Object.keys(AUDIT_ACTIONS) as AuditAction[];

/** True when the text names an action that this version knows. */
export const isAuditAction = (name: string): name is AuditAction => Object.hasOwn(AUDIT_ACTIONS, name);

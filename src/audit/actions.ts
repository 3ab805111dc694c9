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
  "password.reset_requested": "A link for a new password was asked for",
  "password.reset": "A password was set with a mailed link",
  "password.changed": "A password was changed by its owner",
  "password.change_failed": "A change of password was refused: the current one was wrong",
  "api_key.created": "An API key was made",
  "api_key.revoked": "An API key was revoked",
} as const;

export type AuditAction = keyof typeof AUDIT_ACTIONS;

export const ALL_AUDIT_ACTIONS = Object.keys(AUDIT_ACTIONS) as AuditAction[];

/** True when the text names an action that this version knows. */
export const isAuditAction = (name: string): name is AuditAction => Object.hasOwn(AUDIT_ACTIONS, name);

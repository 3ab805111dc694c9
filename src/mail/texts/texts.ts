/** What a mail says in one language; text and HTML are made of it. */
export interface MailText {
  subject: string;
  /** What the link says, where the mail has one. */
  label?: string;
  paragraphs: string[];
}

/** What a person is told of when it happens to their account. */
export const NOTICE_KINDS = [
  "password_changed",
  "password_reset",
  "new_device",
  "address_changed",
  "second_factor_changed",
  "token_reused",
  "second_factor_failed",
  "backup_code_used",
  "api_key_created",
  "api_key_revoked",
] as const;
export type Notice = (typeof NOTICE_KINDS)[number];

/** API keys that a notice is about, by their names: `working` are those that go on. */
export type NoticeKeys = Partial<Record<"made" | "revoked" | "working", readonly string[]>>;

/**
 * Every mail of the shop in one language. `within` and `days` come as words of it ("5 minutes"), `at` as a time as
 * people of it write one, in the reader's time zone.
 */
export interface MailTexts {
  /** A duration, as it stands behind "within". */
  duration(amount: number, unit: "minute" | "hour" | "day"): string;
  verificationCode(within: string): MailText;
  accountExists(name: string): MailText;
  resetPassword(name: string, within: string, byAdministrator: boolean): MailText;
  leaveAddress(name: string, newEmail: string, within: string): MailText;
  lostAddress(name: string, newEmail: string, within: string, byAdministrator: boolean): MailText;
  proveAddress(within: string): MailText;
  addressWanted(name: string): MailText;
  exportReady(name: string, within: string): MailText;
  accountDeleted(name: string): MailText;
  banned(name: string, reason: string): MailText;
  lowStock(
    name: string,
    stock: { sku: string; location: string; available: number; threshold: number },
  ): MailText;
  /** The subject and the first sentence of a notice. */
  notices: Record<Notice, readonly [subject: string, what: string]>;
  notice(
    name: string,
    what: string,
    about: { at: string; where: string; device: string; link: string; byAdministrator: boolean },
    keys: Record<"made" | "revoked" | "working", string>,
  ): string[];
}

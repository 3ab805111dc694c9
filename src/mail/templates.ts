import { html } from "hono/html";
import type { Mail } from "./mail";
import { durationFor, type Language, type Reader, TEXTS, timeFor } from "./reader";
import { type MailText, NOTICE_KINDS, type Notice, type NoticeKeys } from "./texts/texts";

export type { Notice, NoticeKeys };

type Content = Omit<Mail, "to">;

/** Whether a text names a notice. */
export const isNotice = (text: string): text is Notice => (NOTICE_KINDS as readonly string[]).includes(text);

/** Paragraphs as plain text and as HTML. Every value is escaped; a code is set large. */
async function render(
  language: Language,
  { subject, label, paragraphs }: MailText,
  { code, href }: { code?: string; href?: string } = {},
): Promise<Content> {
  const page = await html`<!doctype html>
<html lang="${language}">
<body style="margin:0;padding:32px 16px;background:#f6f7f9;font:16px/1.5 system-ui,sans-serif;color:#1c2024">
<div style="max-width:480px;margin:0 auto;padding:32px;background:#fff;border-radius:12px">
<h1 style="margin:0 0 16px;font-size:20px">${subject}</h1>
${code === undefined ? "" : html`<p style="font:600 32px/1.2 ui-monospace,monospace;letter-spacing:6px;margin:24px 0">${code}</p>`}
${href === undefined ? "" : html`<p style="margin:24px 0"><a href="${href}">${label}</a></p>`}
${paragraphs.map((paragraph) => html`<p style="margin:0 0 12px">${paragraph}</p>`)}
</div>
</body>
</html>`;
  return {
    subject,
    text: [
      ...(code === undefined ? [] : [code]),
      ...(href === undefined ? [] : [`${label}: ${href}`]),
      ...paragraphs,
    ].join("\n\n"),
    html: String(page),
  };
}

/** The code that proves an address. Whoever typed the address is unknown, so nothing that they typed is in it. */
export const verificationCodeMail = (reader: Reader, code: string, minutes: number): Promise<Content> =>
  render(reader.language, TEXTS[reader.language].verificationCode(durationFor(reader, minutes)), { code });

/** To someone whose address was given for a new account, though it has one. */
export const accountExistsMail = ({ language }: Reader, name: string): Promise<Content> =>
  render(language, TEXTS[language].accountExists(name));

/** The link for a new password. */
export const resetPasswordMail = (
  reader: Reader,
  name: string,
  href: string,
  minutes: number,
  byAdministrator = false,
): Promise<Content> => {
  const text = TEXTS[reader.language].resetPassword(name, durationFor(reader, minutes), byAdministrator);
  return render(reader.language, text, { href });
};

/** To the present address of an account: the link that agrees to another one. */
export const leaveAddressMail = (
  reader: Reader,
  name: string,
  newEmail: string,
  href: string,
  minutes: number,
): Promise<Content> => {
  const text = TEXTS[reader.language].leaveAddress(name, newEmail, durationFor(reader, minutes));
  return render(reader.language, text, { href });
};

/** To the present address of an account that is said to be lost: what happens, when, and how to end it. */
export const lostAddressMail = (
  reader: Reader,
  name: string,
  href: string,
  { newEmail, minutes, byAdministrator }: { newEmail: string; minutes: number; byAdministrator: boolean },
): Promise<Content> => {
  const within = durationFor(reader, minutes);
  const text = TEXTS[reader.language].lostAddress(name, newEmail, within, byAdministrator);
  return render(reader.language, text, { href });
};

/** To the address that an account is to have: the link that proves it. Holds nothing that whoever asked typed. */
export const proveAddressMail = (reader: Reader, href: string, minutes: number): Promise<Content> =>
  render(reader.language, TEXTS[reader.language].proveAddress(durationFor(reader, minutes)), { href });

/** To someone whose address another account was to have. */
export const addressWantedMail = ({ language }: Reader, name: string): Promise<Content> =>
  render(language, TEXTS[language].addressWanted(name));

/** An export of someone's data can be fetched. */
export const exportReadyMail = (
  reader: Reader,
  name: string,
  href: string,
  minutes: number,
): Promise<Content> =>
  render(reader.language, TEXTS[reader.language].exportReady(name, durationFor(reader, minutes)), { href });

/** The last mail to an address whose account its owner deleted. */
export const accountDeletedMail = ({ language }: Reader, name: string): Promise<Content> =>
  render(language, TEXTS[language].accountDeleted(name));

/** To someone who was banned: why, since they cannot sign in to see it. */
export const bannedMail = ({ language }: Reader, name: string, reason: string): Promise<Content> =>
  render(language, TEXTS[language].banned(name, reason));

/** A level of stock fell to its safety threshold. */
export const lowStockMail = (
  { language }: Reader,
  name: string,
  stock: { sku: string; location: string; available: number; threshold: number },
): Promise<Content> => render(language, TEXTS[language].lowStock(name, stock));

const namesOf = (names: readonly string[] = []): string => names.map((name) => `“${name}”`).join(", ");

/** A security notice: what happened, when and from where, and what to do when it was someone else. */
export const noticeMail = (
  reader: Reader,
  notice: Notice,
  name: string,
  {
    at,
    ip,
    device,
    link,
    byAdministrator = false,
    keys = {},
  }: {
    at: Date;
    ip: string;
    device: string;
    link: string;
    byAdministrator?: boolean;
    keys?: NoticeKeys | undefined;
  },
): Promise<Content> => {
  const texts = TEXTS[reader.language];
  const [subject, what] = texts.notices[notice];
  const about = { at: timeFor(reader, at), where: ip, device, link, byAdministrator };
  const names = { made: namesOf(keys.made), revoked: namesOf(keys.revoked), working: namesOf(keys.working) };
  return render(reader.language, { subject, paragraphs: texts.notice(name, what, about, names) });
};

/** One of each mail, for a look at it in development. */
export async function sampleMails(reader: Reader, now: Date): Promise<Content[]> {
  const [name, link] = ["Ann", "https://shop.example/a-link#token=abc"];
  const about = { at: now, ip: "192.0.2.1", device: "Firefox on Linux", link };
  const lost = { newEmail: "new@example.com", minutes: 3 * 1440, byAdministrator: true };
  return Promise.all([
    verificationCodeMail(reader, "048151", 5),
    accountExistsMail(reader, name),
    resetPasswordMail(reader, name, link, 30),
    resetPasswordMail(reader, name, link, 30, true),
    leaveAddressMail(reader, name, "new@example.com", link, 60),
    lostAddressMail(reader, name, link, lost),
    proveAddressMail(reader, link, 60),
    addressWantedMail(reader, name),
    exportReadyMail(reader, name, link, 7 * 1440),
    accountDeletedMail(reader, name),
    bannedMail(reader, name, "sells umbrellas with holes"),
    lowStockMail(reader, name, { sku: "MUG-1", location: "Berlin", available: 3, threshold: 5 }),
    ...NOTICE_KINDS.map((notice) => {
      const keys = notice === "api_key_revoked" ? { revoked: ["Till"], working: ["Shop"] } : {};
      return noticeMail(reader, notice, name, { ...about, keys });
    }),
  ]);
}

import { html } from "hono/html";
import type { Mail } from "./mail";

type Content = Omit<Mail, "to">;

/** Paragraphs as plain text and as HTML. Every value is escaped; a code is set large. */
async function render(
  subject: string,
  paragraphs: string[],
  { code, link }: { code?: string; link?: { href: string; label: string } } = {},
): Promise<Content> {
  const page = await html`<!doctype html>
<html lang="en">
<body style="margin:0;padding:32px 16px;background:#f6f7f9;font:16px/1.5 system-ui,sans-serif;color:#1c2024">
<div style="max-width:480px;margin:0 auto;padding:32px;background:#fff;border-radius:12px">
<h1 style="margin:0 0 16px;font-size:20px">${subject}</h1>
${code === undefined ? "" : html`<p style="font:600 32px/1.2 ui-monospace,monospace;letter-spacing:6px;margin:24px 0">${code}</p>`}
${link === undefined ? "" : html`<p style="margin:24px 0"><a href="${link.href}">${link.label}</a></p>`}
${paragraphs.map((paragraph) => html`<p style="margin:0 0 12px">${paragraph}</p>`)}
</div>
</body>
</html>`;
  return {
    subject,
    text: [
      ...(code === undefined ? [] : [code]),
      ...(link === undefined ? [] : [`${link.label}: ${link.href}`]),
      ...paragraphs,
    ].join("\n\n"),
    html: String(page),
  };
}

/** The code that proves an address. Whoever typed the address is unknown, so nothing that they typed is in it. */
export const verificationCodeMail = (code: string, minutes: number): Promise<Content> =>
  render(
    "Your code",
    [
      `Hello, enter this code to confirm your address. It is good for ${minutes} minutes.`,
      "If you did not ask for it, you need do nothing: without the code nothing happens.",
    ],
    { code },
  );

/** The link for a new password. */
export const resetPasswordMail = (
  name: string,
  href: string,
  minutes: number,
  byAdministrator = false,
): Promise<Content> =>
  render(
    "Set a new password",
    [
      `Hello ${name}, ${byAdministrator ? "an administrator had this mail sent to you: " : ""}with this link you can set a new password. It works once, within ${minutes} minutes, and signs you out everywhere.`,
      "If you did not ask for it, you need do nothing: your password stays as it is.",
    ],
    { link: { href, label: "Set a new password" } },
  );

/** To the present address of an account: the link that agrees to another one. */
export const leaveAddressMail = (
  name: string,
  newEmail: string,
  href: string,
  minutes: number,
): Promise<Content> =>
  render(
    "Confirm your new address",
    [
      `Hello ${name}, your account is to have the address ${newEmail} instead of this one. Both addresses must confirm it: this link does so for this one. It works once, within ${minutes} minutes.`,
      "If it was not you, do not follow the link, and set a new password at once: someone knows yours. A new password ends the change.",
    ],
    { link: { href, label: "Confirm the change" } },
  );

/** To the present address of an account that is said to be lost: what happens, when, and how to end it. */
export const lostAddressMail = (
  name: string,
  href: string,
  { newEmail, days, byAdministrator }: { newEmail: string; days: number; byAdministrator: boolean },
): Promise<Content> =>
  render(
    "Your account is to get another address",
    [
      `Hello ${name}, ${byAdministrator ? "an administrator" : "someone who showed your second factor"} said that nobody reads mail at this address any more. In ${days} days your account gets the address ${newEmail} instead of this one. With this link it gets it at once.`,
      "If it was not you, do not follow the link, and set a new password at once, which you can do with this address: that ends the change.",
    ],
    { link: { href, label: "Confirm the change" } },
  );

/** To the address that an account is to have: the link that proves it. Holds nothing that whoever asked typed. */
export const proveAddressMail = (href: string, minutes: number): Promise<Content> =>
  render(
    "Confirm your new address",
    [
      `Hello, with this link you confirm that this address is yours and that an account may have it. It works once, within ${minutes} minutes. The present address must confirm the change too.`,
      "If you did not ask for it, you need do nothing: without the link nothing happens.",
    ],
    { link: { href, label: "Confirm this address" } },
  );

/** To someone whose address another account was to have. */
export const addressWantedMail = (name: string): Promise<Content> =>
  render("Your address was given for another account", [
    `Hello ${name}, someone, perhaps you, tried to give another account this address. It already belongs to yours, so nothing was changed.`,
    "If it was you, sign in with this address instead. If it was not you, you need do nothing.",
  ]);

/** An export of someone's data can be fetched. */
export const exportReadyMail = (name: string, href: string, days: number): Promise<Content> =>
  render(
    "Your data is ready",
    [
      `Hello ${name}, the archive of your data that you asked for can be fetched for ${days} days. You have to sign in for it.`,
      "If you did not ask for it, set a new password at once and end the sessions you do not know.",
    ],
    { link: { href, label: "Fetch it" } },
  );

/** The last mail to an address whose account its owner deleted. */
export const accountDeletedMail = (name: string): Promise<Content> =>
  render("Your account was deleted", [
    `Hello ${name}, your account was deleted, as you asked. What we know of you is being erased. The address is free for a new account.`,
    "If it was not you, answer this mail at once: nobody can sign in to the account any more.",
  ]);

/** What a person is told of when it happens to their account. */
export const NOTICES = {
  password_changed: ["Your password was changed", "The password of your account was changed."],
  password_reset: [
    "Your password was reset",
    "The password of your account was set anew by a link we mailed.",
  ],
  new_device: ["New sign-in to your account", "Someone signed in to your account from a new device."],
  address_changed: ["Your address was changed", "The address of your account was changed."],
  second_factor_changed: [
    "Your second factor was changed",
    "A second factor or a passkey of your account was added, removed or replaced.",
  ],
  token_reused: [
    "A sign-in of yours was ended",
    "A sign-in of yours was used in two places, as when somebody has copied it. It was ended in both.",
  ],
  second_factor_failed: [
    "Someone has your password",
    "Someone entered your password on a new device, and then a wrong code in place of your second factor.",
  ],
  backup_code_used: [
    "A backup code was used",
    "A backup code of your account was used in place of your authenticator app. Each works once: make new ones before they run out.",
  ],
  api_key_created: [
    "An API key was made",
    "An API key of your account was made. Whoever has it may do what it and your account both allow.",
  ],
  api_key_revoked: ["An API key was revoked", "API keys of your account were revoked."],
} as const;
export type Notice = keyof typeof NOTICES;

/** API keys that a notice is about, by their names: `working` are those that go on. */
export type NoticeKeys = Partial<Record<"made" | "revoked" | "working", readonly string[]>>;

const namesOf = (names: readonly string[]): string => names.map((name) => `“${name}”`).join(", ");

function paragraphsOf({ made = [], revoked = [], working = [] }: NoticeKeys): string[] {
  return [
    ...(made.length > 0 ? [`The API key: ${namesOf(made)}.`] : []),
    ...(revoked.length > 0
      ? [`These API keys were revoked, and what uses them needs new ones: ${namesOf(revoked)}.`]
      : []),
    ...(working.length > 0
      ? [`These API keys go on working; revoke the ones that you do not know: ${namesOf(working)}.`]
      : []),
  ];
}

/** A security notice: what happened, when and from where, and what to do when it was someone else. */
export const noticeMail = (
  notice: Notice,
  name: string,
  {
    at,
    ip,
    device,
    link,
    keys = {},
  }: { at: string; ip: string; device: string; link: string; keys?: NoticeKeys | undefined },
): Promise<Content> => {
  const [subject, what] = NOTICES[notice];
  return render(subject, [
    `Hello ${name}. ${what}`,
    `When: ${at}. Where: ${ip}, ${device}.`,
    ...paragraphsOf(keys),
    `If it was you, you need do nothing. If not, set a new password at once and end the sessions and API keys you do not know: ${link}`,
  ]);
};

/** To someone who was banned: why, since they cannot sign in to see it. */
export const bannedMail = (name: string, reason: string): Promise<Content> =>
  render("Your account was banned", [
    `Hello ${name}, an administrator banned your account. The reason given: ${reason}`,
    "You are signed out everywhere and cannot sign in until the ban is lifted.",
  ]);

/** A level of stock fell to its safety threshold. */
export const lowStockMail = (
  name: string,
  stock: { sku: string; location: string; available: number; threshold: number },
): Promise<Content> =>
  render(`Low stock: ${stock.sku}`, [
    `Hello ${name}, of ${stock.sku} at ${stock.location} only ${stock.available} can still be sold. You asked to hear of it at ${stock.threshold}.`,
    "The list of everything that is low is under /api/products/inventory/low-stock.",
  ]);

/** To someone whose address was given for a new account, though it has one. */
export const accountExistsMail = (name: string): Promise<Content> =>
  render("You already have an account", [
    `Hello ${name}, someone, perhaps you, tried to register with this address. It already has an account.`,
    "Sign in with your password, or reset it if you no longer know it. If it was not you, you need do nothing.",
  ]);

import type { MailTexts } from "./texts";

export const en: MailTexts = {
  duration: (amount, unit) => `${amount} ${unit}${amount === 1 ? "" : "s"}`,
  verificationCode: (within) => ({
    subject: "Your code",
    paragraphs: [
      `Hello, enter this code to confirm your address. It is good for ${within}.`,
      "If you did not ask for it, you need do nothing: without the code nothing happens.",
    ],
  }),
  accountExists: (name) => ({
    subject: "You already have an account",
    paragraphs: [
      `Hello ${name}, someone, perhaps you, tried to register with this address. It already has an account.`,
      "Sign in with your password, or reset it if you no longer know it. If it was not you, you need do nothing.",
    ],
  }),
  resetPassword: (name, within, byAdministrator) => ({
    subject: "Set a new password",
    label: "Set a new password",
    paragraphs: [
      `Hello ${name}, ${byAdministrator ? "an administrator had this mail sent to you: " : ""}with this link you can set a new password. It works once, within ${within}, and signs you out everywhere.`,
      "If you did not ask for it, you need do nothing: your password stays as it is.",
    ],
  }),
  leaveAddress: (name, newEmail, within) => ({
    subject: "Confirm your new address",
    label: "Confirm the change",
    paragraphs: [
      `Hello ${name}, your account is to have the address ${newEmail} instead of this one. Both addresses must confirm it: this link does so for this one. It works once, within ${within}.`,
      "If it was not you, do not follow the link, and set a new password at once: someone knows yours. A new password ends the change.",
    ],
  }),
  lostAddress: (name, newEmail, within, byAdministrator) => ({
    subject: "Your account is to get another address",
    label: "Confirm the change",
    paragraphs: [
      `Hello ${name}, ${byAdministrator ? "an administrator" : "someone who showed your second factor"} said that nobody reads mail at this address any more. In ${within} your account gets the address ${newEmail} instead of this one. With this link it gets it at once.`,
      "If it was not you, do not follow the link, and set a new password at once, which you can do with this address: that ends the change.",
    ],
  }),
  proveAddress: (within) => ({
    subject: "Confirm your new address",
    label: "Confirm this address",
    paragraphs: [
      `Hello, with this link you confirm that this address is yours and that an account may have it. It works once, within ${within}. The present address must confirm the change too, or is told of it.`,
      "If you did not ask for it, you need do nothing: without the link nothing happens.",
    ],
  }),
  addressWanted: (name) => ({
    subject: "Your address was given for another account",
    paragraphs: [
      `Hello ${name}, someone, perhaps you, tried to give another account this address. It already belongs to yours, so nothing was changed.`,
      "If it was you, sign in with this address instead. If it was not you, you need do nothing.",
    ],
  }),
  exportReady: (name, within) => ({
    subject: "Your data is ready",
    label: "Fetch it",
    paragraphs: [
      `Hello ${name}, the archive of your data that you asked for can be fetched for ${within}. You have to sign in for it.`,
      "If you did not ask for it, set a new password at once and end the sessions you do not know.",
    ],
  }),
  accountDeleted: (name) => ({
    subject: "Your account was deleted",
    paragraphs: [
      `Hello ${name}, your account was deleted, as you asked. What we know of you is being erased. The address is free for a new account.`,
      "If it was not you, answer this mail at once: nobody can sign in to the account any more.",
    ],
  }),
  banned: (name, reason) => ({
    subject: "Your account was banned",
    paragraphs: [
      `Hello ${name}, an administrator banned your account. The reason given: ${reason}`,
      "You are signed out everywhere and cannot sign in until the ban is lifted.",
    ],
  }),
  lowStock: (name, { sku, location, available, threshold }) => ({
    subject: `Low stock: ${sku}`,
    paragraphs: [
      `Hello ${name}, of ${sku} at ${location} only ${available} can still be sold. You asked to hear of it at ${threshold}.`,
      "The list of everything that is low is under /api/products/inventory/low-stock.",
    ],
  }),
  notices: {
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
  },
  notice: (name, what, { at, where, device, link, byAdministrator }, { made, revoked, working }) => [
    `Hello ${name}. ${what}`,
    `When: ${at}. Where: ${byAdministrator ? "by an administrator" : `${where}, ${device}`}.`,
    ...(made === "" ? [] : [`The API key: ${made}.`]),
    ...(revoked === ""
      ? []
      : [`These API keys were revoked, and what uses them needs new ones: ${revoked}.`]),
    ...(working === ""
      ? []
      : [`These API keys go on working; revoke the ones that you do not know: ${working}.`]),
    `If it was you, you need do nothing. If not, set a new password at once and end the sessions and API keys you do not know: ${link}`,
  ],
};

/** The face of mail. */
export type { Mailer } from "./mail";
export type { Mailbox } from "./mailbox";
export { acceptedLanguage, DEFAULT_READER, type Language, languageOf, type Reader } from "./reader";
export {
  accountDeletedMail,
  accountExistsMail,
  addressWantedMail,
  bannedMail,
  exportReadyMail,
  isNotice,
  leaveAddressMail,
  lostAddressMail,
  lowStockMail,
  type Notice,
  type NoticeKeys,
  noticeMail,
  proveAddressMail,
  resetPasswordMail,
  verificationCodeMail,
} from "./templates";

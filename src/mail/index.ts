/** The face of mail. */
export type { Mailer } from "./mail";
export type { Mailbox } from "./mailbox";
export {
  accountDeletedMail,
  accountExistsMail,
  addressWantedMail,
  bannedMail,
  exportReadyMail,
  leaveAddressMail,
  lostAddressMail,
  lowStockMail,
  NOTICES,
  type Notice,
  type NoticeKeys,
  noticeMail,
  proveAddressMail,
  resetPasswordMail,
  verificationCodeMail,
} from "./templates";

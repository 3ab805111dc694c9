import nodemailer from "nodemailer";
import type { Mailer } from "./mail";

/** Mail through an SMTP server, over a small pool of connections. */
export function createSmtpMailer(smtpUrl: string, from: string): Mailer {
  const transport = nodemailer.createTransport(
    {
      url: smtpUrl,
      pool: true,
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: 30_000,
    } as never,
    { from, disableFileAccess: true, disableUrlAccess: true } as never,
  );
  return {
    async send(mail) {
      await transport.sendMail(mail);
    },
    close: () => transport.close(),
  };
}

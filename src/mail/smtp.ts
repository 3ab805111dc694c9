import type { Transporter } from "nodemailer";
import { type Mailer, MailRefused } from "./mail";

/**
 * Mail through an SMTP server, over a small pool of connections. Nodemailer is loaded for the first mail. What does not
 * leave throws `MailRefused`.
 */
export function createSmtpMailer(smtpUrl: string, from: string): Mailer {
  let transport: Promise<Transporter> | undefined;
  const open = async (): Promise<Transporter> => {
    const { createTransport } = await import("nodemailer");
    return createTransport(
      {
        url: smtpUrl,
        pool: true,
        connectionTimeout: 10_000,
        greetingTimeout: 10_000,
        socketTimeout: 30_000,
      } as never,
      { from, disableFileAccess: true, disableUrlAccess: true } as never,
    );
  };
  return {
    async send(mail) {
      transport ??= open();
      const opened = await transport;
      await opened.sendMail(mail).catch((error: unknown) => {
        throw new MailRefused(error);
      });
    },
    // One that did not open has failed the mail that asked for it.
    close: () =>
      transport?.then(
        (opened) => opened.close(),
        () => undefined,
      ),
  };
}

import type { Transporter } from "nodemailer";
import type { JobHandler, Service } from "../jobs/runner";
import type { Mailer } from "./mail";

/** What an SMTP server says first: a code of RFC 5321 and, mostly, one of RFC 3463 that says more. */
const REPLY = /^(\d{3})(?:[ -]([245]\.\d{1,3}\.\d{1,3})\b)?/;
/** Commands of SMTP, as nodemailer calls them; without what was sent with them. */
const COMMAND = /^[A-Z][A-Z0-9 -]{0,30}$/;

/**
 * A mail that was not taken, in codes alone: the texts of servers hold the address that they refuse, and nodemailer's
 * errors hold it too.
 */
export class MailRefused extends Error {
  override readonly name = "MailRefused";
  /** Nodemailer's code, such as EENVELOPE, or the system's, such as ECONNREFUSED. */
  readonly code: string;
  /** The server's code, such as 550; undefined when there was no answer. */
  readonly responseCode: number | undefined;

  /** @param error what nodemailer threw */
  constructor(error: unknown) {
    const parts = (error ?? {}) as Record<"code" | "originalCode" | "command" | "response", unknown>;
    const code = String(parts.originalCode ?? parts.code ?? "no code");
    const [, basic, enhanced] = REPLY.exec(String(parts.response ?? "")) ?? [];
    const command = COMMAND.test(String(parts.command)) ? ` at ${parts.command}` : "";
    const reply = [basic, enhanced, code].filter((part) => part !== undefined).join(" ");
    super(`the mail was not taken${command}: ${reply}`);
    this.code = code;
    this.responseCode = basic === undefined ? undefined : Number(basic);
  }
}

/** Codes of nodemailer for a mail that no server would take. */
const OF_THE_MAIL = ["EENVELOPE", "EMESSAGE"];

/** What jobs that send mail need: a server that answers, lets this application in, and is not closing (421). */
export const MAIL_SERVER: Service = {
  isAway: (error) =>
    error instanceof MailRefused &&
    (error.code === "EAUTH" ||
      error.responseCode === 421 ||
      (error.responseCode === undefined && !OF_THE_MAIL.includes(error.code))),
};

/** A handler of jobs that send mail. */
export const mailing = (handler: JobHandler): JobHandler => Object.assign(handler, { needs: MAIL_SERVER });

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

import type { CircuitBreaker } from "../lib/circuit-breaker";
import type { Logger } from "../telemetry/log";

/** A mail as it leaves: text and HTML say the same. */
export interface Mail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

/** Where mail leaves the process. */
export interface Mailer {
  /** Resolves when the server has taken the mail. @throws when it has not; the job tries again */
  send(mail: Mail): Promise<void>;
  close(): void;
}

/** What an SMTP server says first: a code of RFC 5321 and, mostly, one of RFC 3463 that says more. */
const REPLY = /^(\d{3})(?:[ -]([245]\.\d{1,3}\.\d{1,3})\b)?/;
/** Codes of nodemailer and of the system for a server that cannot be reached, or does not let this application in. */
const AWAY = new Set([
  ...["EAUTH", "ECONNECTION", "EDNS", "ESOCKET", "ETIMEDOUT", "ETLS"],
  ...["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "EPIPE"],
]);
/** What a server says that is closing down. */
const CLOSING = 421;
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
  /** Whether the server serves nobody just now, rather than refuses this mail. */
  readonly isServerAway: boolean;

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
    // A reply to the connection itself is about no mail.
    this.isServerAway =
      this.responseCode === CLOSING ||
      parts.command === "CONN" ||
      [parts.code, parts.originalCode].some((one) => AWAY.has(String(one)));
  }
}

/**
 * The same mailer, which says of each mail whether it was `sent` or has `failed`, logs that one was sent, without its
 * reader, under the request and the job that it comes from, and tells the circuit breaker whether the server serves.
 */
export const watchMails = (
  mailer: Mailer,
  count: (outcome: "sent" | "failed") => void,
  server: CircuitBreaker,
  log: Logger,
): Mailer => ({
  close: () => mailer.close(),
  async send(mail) {
    const began = performance.now();
    try {
      await mailer.send(mail);
      server.succeeded();
      count("sent");
      log.info("mail sent");
    } catch (error) {
      count("failed");
      if (error instanceof MailRefused) {
        if (error.isServerAway) server.failed(began);
        else if (error.responseCode !== undefined) server.succeeded();
      }
      throw error;
    }
  },
});

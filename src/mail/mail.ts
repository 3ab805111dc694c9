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

/**
 * The same mailer, which says of each mail whether it was `sent` or has `failed`, and logs that one was sent, without
 * its reader, under the request and the job that it comes from.
 */
export const countMails = (
  mailer: Mailer,
  count: (outcome: "sent" | "failed") => void,
  log: Logger,
): Mailer => ({
  close: () => mailer.close(),
  async send(mail) {
    try {
      await mailer.send(mail);
      count("sent");
      log.info("mail sent");
    } catch (error) {
      count("failed");
      throw error;
    }
  },
});

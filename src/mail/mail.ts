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

/** The same mailer, which says of each mail whether it was `sent` or has `failed`. */
export const countMails = (mailer: Mailer, count: (outcome: string) => void): Mailer => ({
  close: () => mailer.close(),
  async send(mail) {
    try {
      await mailer.send(mail);
      count("sent");
    } catch (error) {
      count("failed");
      throw error;
    }
  },
});

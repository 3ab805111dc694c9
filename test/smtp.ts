import { SMTPServer } from "smtp-server";

/** A mail as a real SMTP server received it. */
export interface ReceivedMail {
  from: string;
  to: string[];
  /** The whole message, headers and parts. */
  source: string;
}

/**
 * Starts an SMTP server on a free port of this machine.
 * @param options `delayMs` before each mail is taken; `refuse` so many mails at first, for a while (451); `nobody` is
 * known here, which the server says with the address (550)
 */
export async function startSmtpServer({ delayMs = 0, refuse = 0, nobody = false } = {}): Promise<{
  url: string;
  mails: ReceivedMail[];
  close(): Promise<void>;
}> {
  const mails: ReceivedMail[] = [];
  let refusals = refuse;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    onRcptTo({ address }, _, done) {
      if (!nobody) return done();
      done(Object.assign(new Error(`5.1.1 <${address}>: user unknown`), { responseCode: 550 }));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        setTimeout(() => {
          if (refusals-- > 0) return done(Object.assign(new Error("try later"), { responseCode: 451 }));
          const { mailFrom, rcptTo } = session.envelope;
          mails.push({
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            source: Buffer.concat(chunks).toString(),
          });
          done();
        }, delayMs);
      });
    },
  });
  const listener = server.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => listener.once("listening", () => resolve()));
  const address = listener.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { useTestApp } from "../../test/app";
import { startSmtpServer } from "../../test/smtp";
import { createCircuitBreaker } from "../lib/circuit-breaker";
import { silentLogger } from "../telemetry/log";
import { type Mailer, watchMails } from "./mail";
import { DEFAULT_READER } from "./reader";
import { createSmtpMailer } from "./smtp";
import { accountExistsMail, noticeMail, resetPasswordMail, verificationCodeMail } from "./templates";

const t = useTestApp();
const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function server(options?: Parameters<typeof startSmtpServer>[0]) {
  const smtp = await startSmtpServer(options);
  const mailer = createSmtpMailer(smtp.url, "Aizy <no-reply@example.com>");
  open.push(
    () => mailer.close(),
    () => smtp.close(),
  );
  return { smtp, mailer };
}

describe("mail over SMTP", () => {
  test("arrives as plain text and HTML, from the configured sender", async () => {
    const { smtp, mailer } = await server();
    await mailer.send({
      to: "ann@example.com",
      ...(await verificationCodeMail(DEFAULT_READER, "048151", 5)),
    });
    const [mail] = smtp.mails;
    expect(mail).toMatchObject({ from: "no-reply@example.com", to: ["ann@example.com"] });
    expect(mail?.source).toMatch(/^From: Aizy <no-reply@example\.com>/m);
    expect(mail?.source).toMatch(/^Content-Type: multipart\/alternative/m);
    expect(mail?.source).toMatch(/^Content-Type: text\/plain; charset=utf-8/m);
    expect(mail?.source).toMatch(/^Content-Type: text\/html; charset=utf-8/m);
    expect(mail?.source.match(/048151/g)).toHaveLength(2);
  });

  test("a name cannot add a header, a recipient, or markup", async () => {
    const { smtp, mailer } = await server();
    const name = '<img src=x onerror="alert(1)">';
    await mailer.send({ to: "ann@example.com", ...(await accountExistsMail(DEFAULT_READER, name)) });
    await mailer.send({
      to: "ann@example.com",
      subject: "Hello\r\nBcc: bob@example.com\r\n\r\nbody",
      text: "x",
      html: "x",
    });
    expect(smtp.mails.map(({ to }) => to)).toEqual([["ann@example.com"], ["ann@example.com"]]);
    const [, html] = smtp.mails[0]?.source.split("Content-Type: text/html") ?? [];
    expect(html).toContain("&lt;img");
    expect(html).not.toContain("<img");
    expect(smtp.mails[1]?.source).not.toMatch(/^Bcc:/m);
  });

  test("every template says the same in text and in HTML", async () => {
    const link = "https://shop.example/reset-password#token=abc";
    const about = {
      at: new Date("2026-01-01T00:00:00.000Z"),
      ip: "192.0.2.1",
      device: "Firefox on Linux",
      link,
    };
    for (const mail of [
      await resetPasswordMail(DEFAULT_READER, "Ann", link, 30),
      await noticeMail(DEFAULT_READER, "new_device", "Ann", about),
      await noticeMail(DEFAULT_READER, "password_changed", "Ann", about),
    ]) {
      for (const content of [mail.text, mail.html]) {
        expect(content).toContain("Ann");
        expect(content).toContain(link);
      }
    }
  });

  test("a server that refuses makes the job try again with a new code; the first is worth nothing", async () => {
    const { smtp, mailer } = await server({ refuse: 1 });
    const { mail } = t.deps;
    t.deps.mail = mailer;
    try {
      const json = { email: "ann@example.com", password: "correct horse", name: "Ann" };
      const answer = await t.request("/auth/register", { method: "POST", json });
      const { registrationId } = (await answer.json()).data;
      await t.runner.runDue();
      expect(smtp.mails).toEqual([]);
      t.clock.advance(60_000);
      await t.runner.runDue();
      const otp = /^\d{6}$/m.exec(smtp.mails[0]?.source ?? "")?.[0];
      const body = { registrationId, email: json.email, otp };
      expect((await t.request("/auth/verify-otp", { method: "POST", json: body })).status).toBe(200);
    } finally {
      t.deps.mail = mail;
    }
  });
});

describe("mail that a server does not take", () => {
  const refusal = async (mailer: { send(mail: object): Promise<void> }) =>
    mailer.send({ to: "ann@example.com", subject: "x", text: "x", html: "x" }).then(
      () => undefined,
      (error: unknown) => error,
    );

  test("is told with the server's codes, and without the address that its text names", async () => {
    const { mailer } = await server({ nobody: true });
    const error = await refusal(mailer);
    expect(error).toMatchObject({ name: "MailRefused", code: "EENVELOPE", responseCode: 550 });
    expect(Bun.inspect(error)).toContain("the mail was not taken at RCPT TO: 550 5.1.1 EENVELOPE");
    expect(Bun.inspect(error)).not.toContain("ann@example.com");
    expect(error).toMatchObject({ isServerAway: false });
  });

  test("a server that is away is told with the system's code", async () => {
    const { smtp, mailer } = await server();
    await smtp.close();
    const error = await refusal(mailer);
    expect(error).toMatchObject({ name: "MailRefused", code: "ECONNREFUSED", responseCode: undefined });
    expect(error).toMatchObject({ isServerAway: true });
  });

  test("opens the circuit breaker where the server is away, and closes it with any answer about a mail", async () => {
    const breaker = createCircuitBreaker();
    const counted: string[] = [];
    const watched = (mailer: Mailer) =>
      watchMails(mailer, (outcome) => counted.push(outcome), breaker, silentLogger());
    const states: string[] = [];
    const [serving, refusing, away] = [await server(), await server({ nobody: true }), await server()];
    await away.smtp.close();
    for (const { mailer } of [serving, refusing, away, refusing, away, serving]) {
      await refusal(watched(mailer));
      states.push(breaker.state());
    }
    expect(states).toEqual(["closed", "closed", "open", "closed", "open", "closed"]);
    expect(counted).toEqual(["sent", "failed", "failed", "failed", "failed", "sent"]);
  });

  test("a greeting that serves nobody is no refusal of the mail", async () => {
    const busy = createServer((socket) => socket.end("554 no SMTP service here\r\n"));
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    open.push(() => void busy.close());
    const { port } = busy.address() as AddressInfo;
    const mailer = createSmtpMailer(`smtp://127.0.0.1:${port}`, "no-reply@example.com");
    open.push(() => mailer.close());
    expect(await refusal(mailer)).toMatchObject({ name: "MailRefused", isServerAway: true });
  });

  test("a job that it fails keeps the codes as its reason", async () => {
    const { mailer } = await server({ nobody: true });
    const { mail } = t.deps;
    t.deps.mail = mailer;
    try {
      const json = { email: "bob@example.com", password: "correct horse", name: "Bob" };
      await t.request("/auth/register", { method: "POST", json });
      await t.runner.runDue();
      const jobs = await t.deps.mysql.on().job.findMany({ where: { lastError: { not: null } } });
      const [reason = ""] = jobs.map(({ lastError }) => lastError).reverse();
      expect(reason).toBe("the mail was not taken at RCPT TO: 550 5.1.1 EENVELOPE");
    } finally {
      t.deps.mail = mail;
    }
  });
});

describe("/dev/mail", () => {
  test("is not there where mail is really sent, nor in production", async () => {
    for (const path of ["/dev/mail", "/dev/mail/messages", "/dev/mail/preview"])
      expect((await t.request(path)).status).toBe(404);
    const { environment } = t.deps.config;
    const mailbox = { list: async () => [], send: async () => undefined, close: () => undefined };
    Object.assign(t.deps, { mailbox });
    try {
      expect((await t.request("/dev/mail")).status).toBe(200);
      const preview = await (await t.request("/dev/mail/preview?language=de")).text();
      for (const subject of ["Ihr Code", "Ihre Daten liegen bereit", "Ein Ersatzcode wurde verwendet"]) {
        expect(preview).toContain(subject);
      }
      Object.assign(t.deps.config, { environment: "production" });
      const absent = await t.request("/dev/mail");
      const unknown = await t.request("/dev/nothing");
      expect(absent.status).toBe(404);
      const bodyOf = async (answer: Response) => ({ ...(await answer.json()), requestId: "", detail: "" });
      expect(await bodyOf(absent)).toEqual(await bodyOf(unknown));
    } finally {
      Object.assign(t.deps, { mailbox: undefined });
      Object.assign(t.deps.config, { environment });
    }
  });
});

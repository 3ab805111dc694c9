import { html } from "hono/html";
import type { BaseDeps } from "../deps";
import { factory } from "../http/factory";
import { AppError } from "../lib/errors";
import type { Mail } from "./mail";
import type { KeptMail } from "./mailbox";
import { DEFAULT_READER, type Language, languageOf, TEXTS } from "./reader";
import { sampleMails } from "./templates";

const page = (mails: KeptMail[]) => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Mailbox</title>
<style>
body{margin:0 auto;max-width:720px;padding:24px 16px;font:16px/1.5 system-ui,sans-serif;background:#f6f7f9;color:#1c2024}
article{margin:0 0 16px;padding:16px 20px;background:#fff;border-radius:12px}
h1{font-size:22px}h2{margin:0;font-size:17px}p{margin:4px 0;color:#5b6670;font-size:14px}
pre{margin:12px 0 0;white-space:pre-wrap;font:15px/1.5 ui-monospace,monospace}
</style>
</head>
<body>
<h1>Mailbox</h1>
${
  mails.length === 0
    ? html`<p>No mail yet. In development, mail is kept here instead of being sent.</p>`
    : mails.map(
        (mail) =>
          html`<article><h2>${mail.subject}</h2><p>to ${mail.to}, ${mail.sentAt}</p><pre>${mail.text}</pre></article>`,
      )
}
</body>
</html>`;

const preview = (language: Language, mails: Omit<Mail, "to">[]) => html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mails</title>
<style>
body{margin:0 auto;max-width:960px;padding:24px 16px;font:16px/1.5 system-ui,sans-serif;background:#f6f7f9;color:#1c2024}
article{display:grid;grid-template-columns:1fr 1fr;gap:16px;margin:0 0 24px}h2{grid-column:1/-1;margin:0;font-size:17px}
pre{margin:0;padding:12px;background:#fff;white-space:pre-wrap;font:14px/1.5 ui-monospace,monospace}
iframe{width:100%;height:360px;border:0;background:#fff}
</style>
</head>
<body>
<p>${Object.keys(TEXTS).map((other) => html`<a href="?language=${other}">${other}</a> `)}</p>
${mails.map(
  (mail) =>
    html`<article><h2>${mail.subject}</h2><pre>${mail.text}</pre><iframe sandbox title="${mail.subject}" srcdoc="${mail.html}"></iframe></article>`,
)}
</body>
</html>`;

/** /dev/mail: what development kept instead of sending. Not there when mail is really sent. */
export const mailboxRoutes = (deps: BaseDeps) => {
  const mailbox = () => {
    if (!deps.mailbox || deps.config.environment === "production") {
      throw new AppError("not_found", "There is no mailbox here: mail is sent.");
    }
    return deps.mailbox;
  };
  return factory
    .createApp()
    .get("/mail", async (c) => {
      c.header(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      );
      return c.html(page(await mailbox().list()), 200);
    })
    .get("/mail/preview", async (c) => {
      mailbox();
      const language = languageOf(c.req.query("language")) ?? DEFAULT_READER.language;
      c.header(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; frame-ancestors 'none'",
      );
      const mails = await sampleMails({ ...DEFAULT_READER, language }, deps.clock.now());
      return c.html(preview(language, mails), 200);
    })
    .get("/mail/messages", async (c) => c.json({ data: await mailbox().list() }, 200));
};

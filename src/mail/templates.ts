import { html } from "hono/html";
import type { Mail } from "./mail";

type Content = Omit<Mail, "to">;

/** Paragraphs as plain text and as HTML. Every value is escaped; a code is set large. */
async function render(subject: string, paragraphs: string[], code?: string): Promise<Content> {
  const page = await html`<!doctype html>
<html lang="en">
<body style="margin:0;padding:32px 16px;background:#f6f7f9;font:16px/1.5 system-ui,sans-serif;color:#1c2024">
<div style="max-width:480px;margin:0 auto;padding:32px;background:#fff;border-radius:12px">
<h1 style="margin:0 0 16px;font-size:20px">${subject}</h1>
${code === undefined ? "" : html`<p style="font:600 32px/1.2 ui-monospace,monospace;letter-spacing:6px;margin:24px 0">${code}</p>`}
${paragraphs.map((paragraph) => html`<p style="margin:0 0 12px">${paragraph}</p>`)}
</div>
</body>
</html>`;
  return {
    subject,
    text: [...(code === undefined ? [] : [code]), ...paragraphs].join("\n\n"),
    html: String(page),
  };
}

/** The code that proves an address. */
export const verificationCodeMail = (name: string, code: string, minutes: number): Promise<Content> =>
  render(
    "Your code",
    [
      `Hello ${name}, enter this code to confirm your address. It is good for ${minutes} minutes.`,
      "If you did not ask for it, you need do nothing: without the code nothing happens.",
    ],
    code,
  );

/** A level of stock fell to its safety threshold. */
export const lowStockMail = (
  name: string,
  stock: { sku: string; location: string; available: number; threshold: number },
): Promise<Content> =>
  render(`Low stock: ${stock.sku}`, [
    `Hello ${name}, of ${stock.sku} at ${stock.location} only ${stock.available} can still be sold. You asked to hear of it at ${stock.threshold}.`,
    "The list of everything that is low is under /api/products/inventory/low-stock.",
  ]);

/** To someone whose address was given for a new account, though it has one. */
export const accountExistsMail = (name: string): Promise<Content> =>
  render("You already have an account", [
    `Hello ${name}, someone, perhaps you, tried to register with this address. It already has an account.`,
    "Sign in with your password, or reset it if you no longer know it. If it was not you, you need do nothing.",
  ]);

/**
 * bun run demo — walks the whole path against a running server through the typed client and prints each
 * step: register, code by mail, verify, sign in, create a product, list it, search it, sign out. Ends with 1
 * when an answer is not what it should be.
 *
 * It needs the mailbox of development and the seeded administrator (SEED_ADMIN_EMAIL, SEED_ADMIN_PASSWORD),
 * because a new customer may not create products.
 */

import { hc } from "hono/client";
import type { AppType } from "./app";
import { readCommandLine } from "./cli";
import { COMMANDS } from "./commands";

/** How long the mail with the code may take, in milliseconds. */
const MAIL_LIMIT = 15_000;

class DemoFailed extends Error {}

/** Ends the walk when the answer is another one, and shows it. */
async function expectStatus(
  step: string,
  status: number,
  answer: { status: number; text(): Promise<string> },
): Promise<void> {
  if (answer.status !== status) {
    throw new DemoFailed(
      `${step}: expected ${status}, got ${answer.status}: ${(await answer.text()).slice(0, 500)}`,
    );
  }
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new DemoFailed(what);
}

const say = (step: string, detail: string) => console.log(`  ok  ${step.padEnd(18)} ${detail}`);

/** Walks the path against `baseUrl`. @throws DemoFailed at the first wrong answer */
export async function runDemo(
  baseUrl: string,
  administrator: { email: string; password: string },
): Promise<void> {
  const client = hc<AppType>(baseUrl);
  const run = crypto.randomUUID().slice(0, 8);
  const email = `demo-${run}@example.com`;
  const password = `demo password ${run}`;

  const registered = await client.auth.register.$post({ json: { email, password, name: "Demo Ann" } });
  await expectStatus("register", 202, registered);
  if (registered.status !== 202) throw new DemoFailed("register");
  const { registrationId } = (await registered.json()).data;
  say("register", `${email}, a code is on its way`);

  let otp: string | undefined;
  for (const deadline = Date.now() + MAIL_LIMIT; otp === undefined; ) {
    if (Date.now() > deadline) throw new DemoFailed("mail: no code came; is the server in development mode?");
    const box = await client.dev.mail.messages.$get();
    await expectStatus("mail", 200, box);
    if (box.status !== 200) throw new DemoFailed("mail");
    const mail = (await box.json()).data.find(({ to }) => to === email);
    otp = mail === undefined ? undefined : /\b\d{6}\b/.exec(mail.text)?.[0];
    if (otp === undefined) await Bun.sleep(100);
  }
  say("code by mail", otp);

  const verified = await client.auth["verify-otp"].$post({ json: { registrationId, email, otp } });
  await expectStatus("verify", 200, verified);
  const again = await client.auth["verify-otp"].$post({ json: { registrationId, email, otp } });
  await expectStatus("verify, the code a second time", 422, again);
  say("verify", "the address is proven; the code works once");

  const signIn = async (credentials: { email: string; password: string }) => {
    const answer = await client.auth.login.$post({ json: credentials });
    await expectStatus(`sign in as ${credentials.email}`, 200, answer);
    if (answer.status !== 200) throw new DemoFailed("sign in");
    return (await answer.json()).data;
  };
  const customer = await signIn({ email, password });
  check(customer.user.roles.includes("customer"), "sign in: the new account is not a customer");
  say("sign in", `${customer.user.name}, ${customer.user.roles.join(", ")}`);
  const customerHeaders = { headers: { Authorization: `Bearer ${customer.accessToken}` } };

  const name = `Demo lamp ${run}`;
  const product = {
    name,
    description: "A small lamp that this walk made.",
    variants: [{ sku: `DEMO-${run}`, price: 4900, options: [{ name: "Colour", value: "red" }] }],
  };
  const refused = await client.api.products.$post({ json: product }, customerHeaders);
  await expectStatus("create a product as a customer", 403, refused);
  const admin = await signIn(administrator);
  const adminHeaders = { headers: { Authorization: `Bearer ${admin.accessToken}` } };
  const created = await client.api.products.$post({ json: product }, adminHeaders);
  await expectStatus("create a product", 201, created);
  if (created.status !== 201) throw new DemoFailed("create a product");
  const made = (await created.json()).data;
  check(made.variants[0]?.price.amount === 4900, "create a product: the price is not 4900 minor units");
  say(
    "create a product",
    `${made.name}, ${made.variants[0]?.sku}, ${made.price.amount} ${made.price.currency} minor units`,
  );

  const list = await client.api.products.$get({ query: { limit: "5" } });
  await expectStatus("list", 200, list);
  if (list.status !== 200) throw new DemoFailed("list");
  const listed = (await list.json()).data;
  check(listed[0]?.id === made.id, "list: the new product is not the first of the newest");
  say("list", `${listed.length} products, the new one first`);

  const search = await client.api.products.search.$get({ query: { q: name } });
  await expectStatus("search", 200, search);
  if (search.status !== 200) throw new DemoFailed("search");
  const found = (await search.json()).data;
  check(
    found.some(({ id }) => id === made.id),
    "search: the new product is not found by its name",
  );
  say("search", `"${name}" found among ${found.length}`);

  for (const [who, headers] of [
    ["customer", customerHeaders],
    ["administrator", adminHeaders],
  ] as const) {
    await expectStatus(`sign out ${who}`, 204, await client.auth.logout.$post({}, headers));
    await expectStatus(`${who} after sign-out`, 401, await client.api.users.me.$get({}, headers));
  }
  say("sign out", "the access tokens are refused at once");
}

if (import.meta.main) {
  readCommandLine(COMMANDS.demo);
  const baseUrl = process.env.DEMO_URL ?? `http://localhost:${process.env.PORT ?? 5000}`;
  console.log(`Walking through ${baseUrl}`);
  const outcome = await runDemo(baseUrl, {
    email: process.env.SEED_ADMIN_EMAIL ?? "admin@aizy.local",
    password: process.env.SEED_ADMIN_PASSWORD ?? "",
  }).catch((error: Error) => error);
  if (outcome instanceof Error) {
    const refused = /Unable to connect|ECONNREFUSED/.test(outcome.message);
    console.error(
      refused ? `Nothing answers at ${baseUrl}. Start it with bin/dev.` : `  FAILED  ${outcome.message}`,
    );
    process.exit(1);
  }
  console.log("Everything is as it should be.");
}

/**
 * The client in pages of another origin than the API, in a real browser: the snippets of docs/frontend.md, tabs that
 * share a session, and analytics without a connection.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import sharp from "sharp";
import { createClient } from "../../client/src/client";
import { buildClient } from "../../local/build-client";
import { CHECKOUT } from "../../local/paths";
import { BROWSER, eventsOf } from "../analytics";
import { useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { eventually } from "../processes";
import { codeOf } from "../second-factor";

/** A hang guard, far above what anything here takes. */
const PATIENCE = 120_000;
/** The API's address in the guide. */
const PLACEHOLDER = "https://api.shop.example";

/** The modules of the guide, by the name in their first line. */
async function snippetsOf(guide: string): Promise<Map<string, string>> {
  const text = await Bun.file(join(CHECKOUT, guide)).text();
  const found = [...text.matchAll(/^```js\n\/\/ (\S+)\n(.*?)^```$/gms)];
  if (found.length !== [...text.matchAll(/^```\w/gm)].length)
    throw new Error(`${guide}: a snippet has no name`);
  return new Map(found.map(([, name = "", code = ""]) => [name, code]));
}

const PAGE = `<!doctype html><html lang="de"><meta charset="utf-8"><title>Shop</title><script type="importmap">${JSON.stringify(
  {
    imports: Object.fromEntries(
      ["client", "format", "analytics"].map((name) => [
        `aizy-backend/${name}`,
        `/client/${name === "client" ? "index" : name}.js`,
      ]),
    ),
  },
)}</script><form><input name="email" value="no"><input name="password" value="x"><input name="name" value="Ann"></form>`;

describe.skipIf(!chromiumPath())(
  "a frontend in a real browser (needs Chromium: apt-get install chromium)",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "aizy-guide-"));
    let pages: Bun.Server<undefined>;
    let api: Bun.Server<undefined>;
    let browser: Awaited<ReturnType<typeof openBrowser>>;
    let snippets: Map<string, string>;
    /** The frontend's own server, on a port that the configuration has to name. */
    const servePages = () => {
      pages = Bun.serve({
        port: 0,
        fetch: async (request) => {
          const { pathname } = new URL(request.url);
          const [, kind, name = ""] = pathname.split("/");
          const script = { headers: { "content-type": "text/javascript" } };
          if (kind === "client")
            return new Response(await Bun.file(join(folder, "client", name)).text(), script);
          if (kind === "app")
            return new Response(snippets.get(name)?.replaceAll(PLACEHOLDER, apiUrl()), script);
          return new Response(PAGE, { headers: { "content-type": "text/html" } });
        },
      });
      return `http://localhost:${pages.port}`;
    };
    const apiUrl = () => `http://localhost:${api.port}`;
    const t = useTestApp(() => {
      const origin = servePages();
      return { corsOrigins: [origin], appUrl: origin };
    });
    beforeAll(async () => {
      api = Bun.serve({
        port: 0,
        idleTimeout: 0,
        fetch: (request, server) => t.app.fetch(request, { server }),
      });
      snippets = await snippetsOf("docs/frontend.md");
      await buildClient(join(folder, "client"));
      // Without a screen Chromium says so in its name, and counts as a bot.
      browser = await openBrowser({ userAgent: BROWSER });
    }, PATIENCE);
    afterAll(async () => {
      await browser?.close();
      await api?.stop(true);
      await pages?.stop(true);
      rmSync(folder, { recursive: true, force: true });
    });

    afterEach(async () => {
      for (const page of browser.context.pages()) if (page.url() !== "about:blank") await page.close();
    });

    const openPage = async (path = "/", context: BrowserContext = browser.context): Promise<Page> => {
      const page = await context.newPage();
      await page.goto(`http://localhost:${pages.port}${path}`, { timeout: PATIENCE });
      return page;
    };
    /** Calls a function of a snippet in a page. */
    const run = <Result = unknown>(
      page: Page,
      snippet: string,
      name: string,
      ...words: unknown[]
    ): Promise<Result> =>
      page.evaluate(
        async ([path, member, given]) =>
          (await import(path as string))[member as string](...(given as unknown[])),
        [`/app/${snippet}.js`, name, words],
      ) as Promise<Result>;
    /** The last mail to an address, once jobs have sent it. */
    const mailTo = async (email: string) => {
      while ((await t.runner.runDue()) > 0);
      return t.mails.filter(({ to }) => to === email).at(-1)?.text ?? "";
    };
    /** How often pages refreshed from now on. */
    const countRefreshes = () => {
      const count = { made: 0 };
      browser.context.on("request", (request) => {
        if (request.method() === "POST" && request.url().endsWith("/auth/refresh")) count.made++;
      });
      return count;
    };

    test(
      "the guide: from a registration to a second factor, a passkey, a new password and a new address",
      async () => {
        const page = await openPage("/account");
        const email = "ann@example.com";
        const password = "correct horse battery";
        await page.evaluate(async () => {
          const told: string[] = [];
          Object.assign(globalThis, { told });
          const path = "/app/account.js";
          (await import(path)).follow((text: string) => told.push(text));
        });
        expect(await run(page, "account", "start")).toBeNull();
        const registrationId = await run(page, "account", "register", "Ann", email, password);
        const [code] = /\b\d{6}\b/.exec(await mailTo(email)) ?? [];
        await run(page, "account", "confirm", registrationId, email, code);
        expect(await run(page, "account", "signIn", email, password)).toBeUndefined();

        const { secret } = await run<{ secret: string }>(page, "second-factor", "enrol", password);
        const backup = await run<string[]>(
          page,
          "second-factor",
          "confirmFactor",
          codeOf(secret, t.clock.now()),
        );
        expect(backup).toHaveLength(10);
        await run(page, "account", "signOut");
        const due = await run(page, "account", "signIn", email, password);
        expect(due).toMatchObject({ methods: ["totp", "backup_code"] });
        await run(page, "second-factor", "answer", due, "backup_code", backup[0]);

        const cdp = await browser.context.newCDPSession(page);
        await cdp.send("WebAuthn.enable");
        await cdp.send("WebAuthn.addVirtualAuthenticator", {
          options: {
            ...{ protocol: "ctap2", transport: "internal", hasResidentKey: true },
            ...{ hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
          },
        });
        // Adding one asks for the factor as well, unless a passkey was just used; the snippet is for those without.
        const person = await t.signIn();
        await run(page, "account", "signIn", person.email, person.password);
        await run(page, "passkey", "addPasskey", person.password);
        await run(page, "account", "signOut");
        await run(page, "passkey", "signInWithPasskey");
        expect(await run(page, "account", "start")).toMatchObject({ id: person.id });
        expect(await page.evaluate("told")).toEqual([
          ...["Hello Ann", "Goodbye", "Hello Ann", "Hello Test", "Goodbye", "Hello Test"],
        ]);

        await run(page, "mail-links", "askForLink", person.email);
        const [, path] =
          /http:\/\/localhost:\d+(\/reset-password#\S+)/.exec(await mailTo(person.email)) ?? [];
        const reset = await openPage(path);
        const token = await run(reset, "mail-links", "takeToken");
        expect(reset.url()).toEndWith("/reset-password");
        await run(reset, "mail-links", "resetPassword", token, "another horse battery");
        // Every session is over, which the other page learns with its next call.
        await expect(run(page, "profile", "sessions")).rejects.toThrow();
        expect(await page.evaluate("told.at(-1)")).toBe("You were signed out. Please sign in again.");
        await expect(run(reset, "mail-links", "confirmEmail", "none")).rejects.toThrow();
        await run(page, "account", "signIn", person.email, "another horse battery");
        expect(
          await page.evaluate("[location.href, localStorage.length, sessionStorage.length, document.cookie]"),
        ).toEqual([page.url(), 0, 0, ""]);
      },
      PATIENCE,
    );

    test(
      "the guide: products, search, a profile, a form, errors, and a checkout on a server",
      async () => {
        const manager = await t.signIn({ roles: ["admin"] });
        const { refreshToken } = manager;
        const staff = createClient(apiUrl(), {
          storage: { read: () => JSON.stringify({ refreshToken }), write: () => undefined },
        });
        const { data: home } = await staff.api.products.categories.$post({ json: { name: "Home" } });
        const { data: lamps } = await staff.api.products.categories.$post({
          json: { name: "Lamps", parentId: home.id },
        });
        const { data: lamp } = await staff.api.products.$post({
          json: {
            name: "Lamp",
            brand: "Lux",
            categoryIds: [lamps.id],
            attrs: [{ key: "color", value: "red" }],
            variants: [{ sku: "LAMP", price: 4900, currency: "EUR" }],
          },
        });
        const png = await sharp({ create: { width: 700, height: 500, channels: 3, background: "red" } })
          .png()
          .toBuffer();
        const picture = new File([new Uint8Array(png)], "lamp.png", { type: "image/png" });
        await staff.api.products[":id"].images.$post({
          param: { id: lamp.id },
          form: { file: picture, alt: "A lamp" },
        });
        const { data: place } = await staff.api.products.inventory.locations.$post({
          json: { code: "MAIN", name: "Main" },
        });
        await staff.api.products.inventory.adjust.$post({
          json: { sku: "LAMP", locationId: place.id, delta: 2, reason: "delivery" },
        });

        const page = await openPage("/lamps");
        const listed = () => run<{ data: object[] }>(page, "products", "lamps");
        await eventually(async () => (await listed()).data.length === 1, "the stock of the lamp in lists");
        const slug = lamp.slug;
        await page.evaluate(async (at) => {
          const path = "/app/products.js";
          const { product, priceOf, imageOf } = await import(path);
          const found = await product(at);
          document.body.append(priceOf(found), imageOf(found.picture, "300px"));
        }, slug);
        expect(((await page.locator("body").textContent()) ?? "").replaceAll("\u00a0", " ")).toContain(
          "49,00 €",
        );
        await page.waitForFunction(() => (document.querySelector("img")?.naturalWidth ?? 0) > 0);
        expect(await run(page, "search", "suggest", "lam")).toMatchObject({ products: [{ slug }] });
        const found = await run(page, "search", "search", "lamp", { "filter[brand]": "Lux" });
        expect(found).toMatchObject({ products: [{ slug }], facets: { brand: [{ name: "Lux", count: 1 }] } });

        const { data: key } = await staff.auth["api-keys"].$post({
          json: {
            name: "checkout",
            permissions: ["reservations:write"],
            password: manager.password,
          } as never,
        });
        const server = join(folder, "checkout.server.js");
        const code = snippets.get("checkout.server.js") ?? "";
        writeFileSync(
          server,
          code.replaceAll(PLACEHOLDER, apiUrl()).replace('"aizy-backend/client"', '"./client/index.js"'),
        );
        const { checkout } = await import(server);
        const till = checkout(key.key);
        const line = { sku: "LAMP", quantity: 2 };
        const { reservation } = await till.reserve("order-1", [line]);
        expect(await till.reserve("order-1", [line])).toEqual({ reservation });
        expect(await till.reserve("order-2", [line])).toEqual({ missing: "LAMP", available: 0 });
        await till.cancel(reservation);
        const again = await till.reserve("order-3", [line]);
        expect((await till.paid(again.reservation)).data.status).toBe("committed");

        const person = await t.signIn();
        await run(page, "account", "signIn", person.email, person.password);
        const conflict = await page.evaluate(async () => {
          const path = "/app/profile.js";
          const { readProfile, rename } = await import(path);
          const profile = await readProfile();
          await rename(profile, "Ann of one tab");
          return rename(profile, "Ann of another");
        });
        expect(conflict).toMatchObject({
          changed: ["name"],
          conflicting: ["name"],
          current: { name: "Ann of one tab" },
        });
        const sent = await page.evaluate(async () => {
          const canvas = new OffscreenCanvas(400, 400);
          canvas.getContext("2d")?.fillRect(0, 0, 200, 200);
          const file = new File([await canvas.convertToBlob()], "me.png", { type: "image/png" });
          const shares: number[] = [];
          const path = "/app/profile.js";
          const { uploadPicture } = await import(path);
          const { data } = await uploadPicture(file, (share: number) => shares.push(share));
          const leaving = uploadPicture(file, () => undefined, AbortSignal.abort(new Error("left")));
          return [
            data.avatar.sources.length,
            shares.at(-1),
            await leaving.catch((error: Error) => error.message),
          ];
        });
        expect(sent).toEqual([3, 1, "left"]);
        expect(await run(page, "profile", "sessions")).toContainEqual(
          expect.objectContaining({ current: true }),
        );
        await run(page, "profile", "endOthers");
        await staff.api.users.me.$get();

        const said = await page.evaluate(async () => {
          const [form, path, errors] = [
            document.forms[0] as HTMLFormElement,
            "/app/form.js",
            "/app/errors.js",
          ];
          const { submit } = await import(path);
          const { tell } = await import(errors);
          const { shop } = await import("/app/shop.js" as string);
          const well = await submit(form, (json: object) => shop.auth.register.$post({ json }));
          const wrong = await shop.auth.login
            .$post({ json: { email: "x@example.com", password: "y" } })
            .result();
          const faults = [...form.elements].map((one) => (one as HTMLInputElement).validationMessage !== "");
          return [well, faults, tell(wrong.error), tell(new Error("a bug"))];
        });
        expect(said).toEqual([
          false,
          [true, true, false],
          "The address or the password is not right.",
          "Something went wrong.",
        ]);
      },
      PATIENCE,
    );

    test(
      "tabs share a session: one refresh for six, with a token that ended too; a sign-out is everywhere; without locks nobody is signed out",
      async () => {
        const person = await t.signIn();
        const first = await openPage();
        await run(first, "account", "signIn", person.email, person.password);
        const refreshes = countRefreshes();
        const others = await Promise.all(Array.from({ length: 5 }, () => openPage()));
        const tabs = [first, ...others];
        const who = (all: Page[]) =>
          Promise.all(all.map((tab) => run<{ id: string } | null>(tab, "account", "start")));
        expect((await who(tabs)).map((one) => one?.id)).toEqual(tabs.map(() => person.id));
        // They have the token of the first one.
        expect(refreshes.made).toBe(0);

        t.clock.advance(16 * 60_000);
        const read = await Promise.all(tabs.map((tab) => run<{ id: string }>(tab, "profile", "readProfile")));
        expect(read.map(({ id }) => id)).toEqual(tabs.map(() => person.id));
        expect(refreshes.made).toBe(1);

        await first.evaluate(() => {
          const path = "/app/shop.js";
          return import(path).then(({ shop }) => Object.assign(globalThis, { shop }));
        });
        await run(others[0] as Page, "account", "signOut");
        await first.waitForFunction("shop.session.user === null");
        expect((await who(tabs)).every((one) => one === null)).toBe(true);

        await run(first, "account", "signIn", person.email, person.password);
        await Promise.all(tabs.map((tab) => tab.close()));
        // All at once, as a browser opens them again, where tabs are slow to hear of each other; and in a browser that
        // knows neither locks nor channels.
        await browser.context.addInitScript(() => {
          if (location.search === "?slow") {
            const { postMessage } = BroadcastChannel.prototype;
            BroadcastChannel.prototype.postMessage = function (message) {
              setTimeout(() => postMessage.call(this, message), 1500);
            };
          }
          if (location.search !== "?old") return;
          Object.defineProperty(navigator, "locks", { value: undefined });
          Object.defineProperty(globalThis, "BroadcastChannel", { value: undefined });
        });
        refreshes.made = 0;
        const restored = await Promise.all(Array.from({ length: 6 }, () => openPage("/?slow")));
        expect((await who(restored)).map((one) => one?.id)).toEqual(restored.map(() => person.id));
        expect(refreshes.made).toBe(1);
        t.clock.advance(16 * 60_000);
        await Promise.all(restored.map((tab) => run(tab, "profile", "readProfile")));
        expect(refreshes.made).toBe(2);
        const old = await Promise.all(Array.from({ length: 4 }, () => openPage("/?old")));
        for (let round = 0; round < 2; round++) {
          expect((await who(old)).map((one) => one?.id)).toEqual(old.map(() => person.id));
          t.clock.advance(16 * 60_000);
          await Promise.all(old.map((tab) => run(tab, "profile", "readProfile")));
        }
      },
      PATIENCE,
    );

    test(
      "analytics: waits without a connection, survives the end of a page, counts once, keeps ids by consent",
      async () => {
        const context = browser.context;
        const names = async () =>
          (await eventsOf(t).find({}).toArray()).map(({ properties }) => properties?.product_id);
        const count = (wanted: number) =>
          eventually(async () => (await eventsOf(t).countDocuments({})) >= wanted, `${wanted} events`);
        const viewed = (page: Page, id: string) => run(page, "analytics", "viewed", { id });
        const stored = (page: Page) => page.evaluate("localStorage.length");

        const page = await openPage("/shop");
        await viewed(page, "1");
        await count(1);
        expect(await eventsOf(t).findOne({})).toMatchObject({
          device: expect.stringMatching(/^~/),
          name: "Product Viewed",
        });
        expect(await stored(page)).toBe(0);
        await context.setOffline(true);
        await viewed(page, "2");
        await page.evaluate(async () => {
          const path = "/app/analytics.js";
          await (await import(path)).analytics.flush();
        });
        await context.setOffline(false);
        await count(2);
        // Sent as the page goes, before its batch is due.
        await viewed(page, "3");
        await page.close();
        await count(3);
        const agreed = await openPage("/shop");
        await run(agreed, "analytics", "agreed", true);
        await context.setOffline(true);
        await viewed(agreed, "4");
        expect(await stored(agreed)).toBe(2);
        await agreed.close();
        await context.setOffline(false);
        const next = await openPage("/shop");
        // The consent of the page before holds on.
        await viewed(next, "5");
        await count(5);
        expect((await names()).sort()).toEqual(["1", "2", "3", "4", "5"]);
        const devices = await eventsOf(t).distinct("device");
        expect(devices).toHaveLength(2);
        await run(next, "analytics", "agreed", false);
        expect(await stored(next)).toBe(0);
        await viewed(next, "6");
        await next.close();
        expect(await eventsOf(t).countDocuments({})).toBe(5);
      },
      PATIENCE,
    );
  },
);

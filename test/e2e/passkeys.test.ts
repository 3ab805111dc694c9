/**
 * A passkey made and used by a real browser with its own (virtual) authenticator, on a page of another origin
 * than the API, as a frontend is.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { CDPSession, Page } from "playwright-core";
import { useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { type ServerProcess, startServer } from "../processes";

const t = useTestApp();
/** A hang guard, far above what anything here takes. */
const PATIENCE = 120_000;

describe.skipIf(!chromiumPath())(
  "passkeys in a real browser (needs Chromium: apt-get install chromium)",
  () => {
    /** A frontend of another origin than the API. */
    let frontend: Bun.Server<undefined>;
    let server: ServerProcess;
    let browser: Awaited<ReturnType<typeof openBrowser>>;
    let page: Page;
    let cdp: CDPSession;
    let authenticatorId: string;
    beforeAll(async () => {
      const html = { headers: { "content-type": "text/html" } };
      frontend = Bun.serve({
        port: 0,
        fetch: () => new Response("<!doctype html><title>Shop</title>", html),
      });
      const origin = `http://localhost:${frontend.port}`;
      server = await startServer({ APP_URL: origin, CORS_ORIGINS: origin });
      browser = await openBrowser();
      page = await browser.context.newPage();
      await page.goto(`${origin}/account`);
      cdp = await browser.context.newCDPSession(page);
      await cdp.send("WebAuthn.enable");
      const options = {
        protocol: "ctap2" as const,
        ctap2Version: "ctap2_1" as const,
        transport: "internal" as const,
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      };
      ({ authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options }));
    }, PATIENCE);
    afterAll(async () => {
      await browser?.close();
      await server?.kill();
      await frontend?.stop(true);
    });

    /** A request that the page itself sends. */
    const fetchInPage = (path: string, json: unknown, token?: string) =>
      page.evaluate(
        async ([url, body, bearer]) => {
          const answer = await fetch(url, {
            method: "POST",
            credentials: "include",
            headers: {
              "content-type": "application/json",
              ...(bearer === "" ? {} : { authorization: `Bearer ${bearer}` }),
            },
            body,
          });
          return { status: answer.status, body: await answer.json() };
        },
        [`${server.address}/auth/${path}`, JSON.stringify(json), token ?? ""] as const,
      );

    /** What the browser's own API makes of options, as JSON. */
    const create = (options: unknown) =>
      page.evaluate(async (json) => {
        const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(json));
        return ((await navigator.credentials.create({ publicKey })) as PublicKeyCredential).toJSON();
      }, JSON.stringify(options));
    const get = (options: unknown) =>
      page.evaluate(async (json) => {
        const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(json));
        return ((await navigator.credentials.get({ publicKey })) as PublicKeyCredential).toJSON();
      }, JSON.stringify(options));

    const signIn = async () => {
      const begun = await fetchInPage("passkeys/sign-in/options", {});
      expect(begun.status).toBe(200);
      const { challengeId, options } = begun.body.data;
      return fetchInPage("passkeys/sign-in/verify", { challengeId, response: await get(options) });
    };

    test(
      "made, used to sign in twice, not made twice, and refused once removed",
      async () => {
        const person = await t.signIn();
        const proof = { password: person.password };
        const begun = await fetchInPage("passkeys/register/options", proof, person.accessToken);
        expect(begun.status).toBe(200);
        const { challengeId, options } = begun.body.data;
        const response = await create(options);
        const added = await fetchInPage(
          "passkeys/register/verify",
          { challengeId, response },
          person.accessToken,
        );
        expect([added.status, added.body.data.name]).toEqual([201, expect.stringContaining("Linux")]);

        for (let i = 0; i < 2; i++) {
          const signedIn = await signIn();
          expect(signedIn.status).toBe(200);
          expect(signedIn.body.data.user.id).toBe(person.id);
          // A browser gets the refresh token as a cookie, and the cookie works.
          expect(signedIn.body.data.refreshToken).toBeUndefined();
          expect((await fetchInPage("refresh", {})).status).toBe(200);
        }

        const again = await fetchInPage("passkeys/register/options", proof, person.accessToken);
        const error = await create(again.body.data.options).catch((reason: Error) => reason.message);
        expect(error).toContain("InvalidStateError");

        const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
        expect(credentials.map(({ isResidentCredential, rpId }) => [isResidentCredential, rpId])).toEqual([
          [true, "localhost"],
        ]);

        const path = `/auth/passkeys/${added.body.data.id}`;
        const removed = await t.request(path, { method: "DELETE", token: person.accessToken });
        expect(removed.status).toBe(204);
        expect((await signIn()).status).toBe(401);
      },
      PATIENCE,
    );

    test(
      "an authenticator that does not recognise its user makes and signs nothing for us",
      async () => {
        const person = await t.signIn();
        await cdp.send("WebAuthn.clearCredentials", { authenticatorId });
        await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
        const begun = await fetchInPage(
          "passkeys/register/options",
          { password: person.password },
          person.accessToken,
        );
        const { options } = begun.body.data;
        const error = await create({ ...options, timeout: 2000 }).catch((reason: Error) => reason.message);
        expect(error).toContain("NotAllowedError");
      },
      PATIENCE,
    );
  },
);

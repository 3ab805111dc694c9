import type { Deps } from "../deps";
import { dataOf, describe } from "../http/describe";
import { factory } from "../http/factory";
import { input } from "../http/input";
import { apiKeyRoutes } from "./api-keys/routes";
import {
  checkOrigin,
  clearSignIn,
  originOf,
  refreshTokenOf,
  refreshTokenOfCookie,
  signedInAnswer,
} from "./browser";
import { deviceRoutes } from "./devices/routes";
import { bearerOf, requirePerson } from "./guard";
import { mfaRoutes } from "./mfa/routes";
import { passkeyRoutes } from "./passkeys/routes";
import { changePassword, forgotPassword, resetPassword } from "./recovery";
import { register, resendRegistrationCode, verifyRegistration } from "./registration";
import {
  challengeResponse,
  changePasswordSchema,
  endedResponse,
  endSessionsSchema,
  forgotPasswordResponse,
  forgotPasswordSchema,
  listSessionsSchema,
  loginSchema,
  logoutSchema,
  refreshSchema,
  registerSchema,
  registrationResponse,
  resendOtpSchema,
  resetPasswordSchema,
  sessionsResponse,
  tokensResponse,
  userResponse,
  verifyOtpSchema,
} from "./schema";
import { login, logout, refresh } from "./service";
import { endOneSession, endOtherSessions, listSessions } from "./sessions";

const tag = "Sign-in";

/** /auth */
export const authRoutes = (deps: Deps) =>
  factory
    .createApp()
    .use(checkOrigin(deps))
    .route("/api-keys", apiKeyRoutes(deps))
    .route("/devices", deviceRoutes(deps))
    .route("/mfa", mfaRoutes(deps))
    .route("/passkeys", passkeyRoutes(deps))
    .post(
      "/register",
      describe({
        summary: "Register and get a code by mail",
        tag,
        response: registrationResponse,
        status: 202,
      }),
      input("json", registerSchema),
      async (c) => c.json({ data: await register(deps, c.req.valid("json"), c.get("ip")) }, 202),
    )
    .post(
      "/verify-otp",
      describe({
        summary: "Prove the address with the code",
        tag,
        response: dataOf(userResponse),
        errors: ["invalid_code", "too_many_requests"],
      }),
      input("json", verifyOtpSchema),
      async (c) =>
        c.json({ data: await verifyRegistration(deps, c.req.valid("json"), originOf(deps, c)) }, 200),
    )
    .post(
      "/resend-otp",
      describe({ summary: "Ask for another code", tag, response: registrationResponse, status: 202 }),
      input("json", resendOtpSchema),
      async (c) =>
        c.json({ data: await resendRegistrationCode(deps, c.req.valid("json"), c.get("ip")) }, 202),
    )
    .post(
      "/login",
      describe({
        summary: "Sign in",
        description: "202 with a challenge when a second factor is due: answer it at /auth/mfa/challenge.",
        tag,
        response: tokensResponse,
        also: { 202: challengeResponse },
        errors: ["invalid_credentials", "too_many_requests", "origin_not_allowed", "service_unavailable"],
      }),
      input("json", loginSchema),
      async (c) => {
        const { deviceToken, ...credentials } = c.req.valid("json");
        const outcome = await login(deps, credentials, originOf(deps, c, deviceToken));
        if (outcome.challenge) return c.json({ data: outcome.challenge }, 202);
        return c.json({ data: signedInAnswer(deps, c, outcome.signedIn) }, 200);
      },
    )
    .post(
      "/refresh",
      describe({
        summary: "Exchange a refresh token",
        tag,
        response: tokensResponse,
        errors: ["unauthenticated"],
      }),
      input("json", refreshSchema),
      async (c) => {
        const token = refreshTokenOf(deps, c, c.req.valid("json").refreshToken);
        return c.json({ data: signedInAnswer(deps, c, await refresh(deps, token, originOf(deps, c))) }, 200);
      },
    )
    .post(
      "/logout",
      describe({
        summary: "Sign out",
        description:
          "Ends the session of the access token, of the refresh token in the body, and of the browser's cookie, whether they are still good or not, and takes the cookie back. Without any of them nothing ends and the answer is the same.",
        tag,
        status: 204,
        errors: ["forbidden", "origin_not_allowed"],
      }),
      input("json", logoutSchema),
      async (c) => {
        const refreshTokens = [c.req.valid("json")?.refreshToken, refreshTokenOfCookie(deps, c)];
        await logout(deps, { accessToken: bearerOf(c), refreshTokens }, originOf(deps, c));
        clearSignIn(deps, c);
        return c.body(null, 204);
      },
    )
    .post(
      "/forgot-password",
      describe({
        summary: "Ask for a link to set a new password",
        tag,
        response: forgotPasswordResponse,
        status: 202,
        errors: ["too_many_requests"],
      }),
      input("json", forgotPasswordSchema),
      async (c) => {
        const { deviceToken, ...asked } = c.req.valid("json");
        return c.json({ data: await forgotPassword(deps, asked, originOf(deps, c, deviceToken)) }, 202);
      },
    )
    .post(
      "/reset-password",
      describe({
        summary: "Set a new password with a mailed link",
        description:
          "Ends every session and revokes every API key; with revokeApiKeys false the keys go on working. The mail says which.",
        tag,
        status: 204,
        errors: ["invalid_code", "too_many_requests"],
      }),
      input("json", resetPasswordSchema),
      async (c) => {
        const { deviceToken, ...asked } = c.req.valid("json");
        await resetPassword(deps, asked, originOf(deps, c, deviceToken));
        return c.body(null, 204);
      },
    )
    .post(
      "/change-password",
      describe({
        summary: "Change your password",
        description:
          "Ends every other session. API keys go on working unless revokeApiKeys is true; the mail says which.",
        tag,
        status: 204,
        errors: ["invalid_credentials", "conflict", "too_many_requests"],
        secured: true,
      }),
      requirePerson(deps),
      input("json", changePasswordSchema),
      async (c) => {
        await changePassword(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .get(
      "/sessions",
      describe({
        summary: "List your sessions",
        tag,
        response: sessionsResponse,
        secured: true,
        errors: ["invalid_cursor"],
      }),
      requirePerson(deps),
      input("query", listSessionsSchema),
      async (c) => c.json(await listSessions(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .delete(
      "/sessions",
      describe({
        summary: "End all your other sessions",
        description: "API keys go on working unless revokeApiKeys is true; the answer says which.",
        tag,
        response: endedResponse,
        secured: true,
      }),
      requirePerson(deps),
      input("query", endSessionsSchema),
      async (c) => {
        const data = await endOtherSessions(deps, c.get("actor"), c.req.valid("query"), originOf(deps, c));
        return c.json({ data }, 200);
      },
    )
    .delete(
      "/sessions/:id",
      describe({
        summary: "End one of your sessions",
        tag,
        status: 204,
        errors: ["not_found"],
        secured: true,
      }),
      requirePerson(deps),
      async (c) => {
        await endOneSession(deps, c.get("actor"), c.req.param("id"), originOf(deps, c));
        return c.body(null, 204);
      },
    );

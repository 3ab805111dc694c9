import { endpoint } from "../http/endpoint";
import { dataOf } from "../http/envelopes";
import { factory } from "../http/factory";
import { bearerOf } from "../http/guards";
import { apiKeyRoutes } from "./api-keys/routes";
import {
  checkOrigin,
  clearSignIn,
  originOf,
  refreshTokenOf,
  refreshTokenOfCookie,
  signedInAnswer,
} from "./browser";
import { changePassword } from "./change-password";
import type { AuthDeps } from "./deps";
import { deviceRoutes } from "./devices/routes";
import { endOneSession, endOtherSessions } from "./end-sessions";
import { forgotPassword } from "./forgot-password";
import { listSessions } from "./list-sessions";
import { login } from "./login";
import { logout } from "./logout";
import { mfaRoutes } from "./mfa/routes";
import { passkeyRoutes } from "./passkeys/routes";
import { refresh } from "./refresh";
import { register } from "./register";
import { resendRegistrationCode } from "./resend-code";
import { resetPassword } from "./reset-password";
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
import { verifyRegistration } from "./verify-registration";

const tag = "Sign-in";

/** /auth */
export const authRoutes = (deps: AuthDeps) =>
  factory
    .createApp()
    .use(checkOrigin(deps))
    .route("/api-keys", apiKeyRoutes(deps))
    .route("/devices", deviceRoutes(deps))
    .route("/mfa", mfaRoutes(deps))
    .route("/passkeys", passkeyRoutes(deps))
    .post(
      "/register",
      endpoint(deps, {
        id: "register",
        summary: "Register and get a code by mail",
        tag,
        body: registerSchema,
        success: { 202: registrationResponse },
      }),
      async (c) => c.json({ data: await register(deps, c.req.valid("json"), originOf(deps, c)) }, 202),
    )
    .post(
      "/verify-otp",
      endpoint(deps, {
        id: "verifyOtp",
        summary: "Prove the address with the code",
        tag,
        body: verifyOtpSchema,
        success: { 200: dataOf(userResponse) },
        errors: ["invalid_code", "too_many_requests"],
      }),
      async (c) =>
        c.json({ data: await verifyRegistration(deps, c.req.valid("json"), originOf(deps, c)) }, 200),
    )
    .post(
      "/resend-otp",
      endpoint(deps, {
        id: "resendOtp",
        summary: "Ask for another code",
        tag,
        body: resendOtpSchema,
        success: { 202: registrationResponse },
      }),
      async (c) =>
        c.json({ data: await resendRegistrationCode(deps, c.req.valid("json"), originOf(deps, c)) }, 202),
    )
    .post(
      "/login",
      endpoint(deps, {
        id: "login",
        summary: "Sign in",
        description: "202 with a challenge when a second factor is due: answer it at /auth/mfa/challenge.",
        tag,
        body: loginSchema,
        success: { 200: tokensResponse, 202: challengeResponse },
        errors: ["invalid_credentials", "too_many_requests", "origin_not_allowed"],
      }),
      async (c) => {
        const { deviceToken, ...credentials } = c.req.valid("json");
        const outcome = await login(deps, credentials, originOf(deps, c, deviceToken));
        if (outcome.challenge) return c.json({ data: outcome.challenge }, 202);
        return c.json({ data: signedInAnswer(deps, c, outcome.signedIn) }, 200);
      },
    )
    .post(
      "/refresh",
      endpoint(deps, {
        id: "refresh",
        summary: "Exchange a refresh token",
        tag,
        body: refreshSchema,
        success: { 200: tokensResponse },
        errors: ["unauthenticated"],
      }),
      async (c) => {
        const { token, ...how } = refreshTokenOf(deps, c, c.req.valid("json").refreshToken);
        const signedIn = await refresh(deps, token, originOf(deps, c), how);
        return c.json({ data: signedInAnswer(deps, c, signedIn) }, 200);
      },
    )
    .post(
      "/logout",
      endpoint(deps, {
        id: "logout",
        summary: "Sign out",
        description:
          "Ends the session of the access token, of the refresh token in the body, and of the browser's cookie, whether they are still good or not, and takes the cookie back. Without any of them nothing ends and the answer is the same.",
        tag,
        body: logoutSchema,
        success: { 204: null },
        errors: ["forbidden", "origin_not_allowed"],
      }),
      async (c) => {
        const refreshTokens = [c.req.valid("json")?.refreshToken, refreshTokenOfCookie(deps, c)];
        await logout(deps, { accessToken: bearerOf(c), refreshTokens }, originOf(deps, c));
        clearSignIn(deps, c);
        return c.body(null, 204);
      },
    )
    .post(
      "/forgot-password",
      endpoint(deps, {
        id: "forgotPassword",
        summary: "Ask for a link to set a new password",
        tag,
        body: forgotPasswordSchema,
        success: { 202: forgotPasswordResponse },
        errors: ["too_many_requests"],
      }),
      async (c) => {
        const { deviceToken, ...asked } = c.req.valid("json");
        return c.json({ data: await forgotPassword(deps, asked, originOf(deps, c, deviceToken)) }, 202);
      },
    )
    .post(
      "/reset-password",
      endpoint(deps, {
        id: "resetPassword",
        summary: "Set a new password with a mailed link",
        description:
          "Ends every session and revokes every API key; with revokeApiKeys false the keys go on working. The mail says which.",
        tag,
        body: resetPasswordSchema,
        success: { 204: null },
        errors: ["invalid_code", "too_many_requests"],
      }),
      async (c) => {
        const { deviceToken, ...asked } = c.req.valid("json");
        await resetPassword(deps, asked, originOf(deps, c, deviceToken));
        return c.body(null, 204);
      },
    )
    .post(
      "/change-password",
      endpoint(deps, {
        id: "changePassword",
        summary: "Change your password",
        description:
          "Ends every other session. API keys go on working unless revokeApiKeys is true; the mail says which.",
        tag,
        caller: "person",
        body: changePasswordSchema,
        success: { 204: null },
        errors: ["invalid_credentials", "conflict", "too_many_requests"],
      }),
      async (c) => {
        await changePassword(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .get(
      "/sessions",
      endpoint(deps, {
        id: "listSessions",
        summary: "List your sessions",
        tag,
        caller: "person",
        query: listSessionsSchema,
        success: { 200: sessionsResponse },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listSessions(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .delete(
      "/sessions",
      endpoint(deps, {
        id: "endOtherSessions",
        summary: "End all your other sessions",
        description: "API keys go on working unless revokeApiKeys is true; the answer says which.",
        tag,
        caller: "person",
        query: endSessionsSchema,
        success: { 200: endedResponse },
      }),
      async (c) => {
        const data = await endOtherSessions(deps, c.get("actor"), c.req.valid("query"), originOf(deps, c));
        return c.json({ data }, 200);
      },
    )
    .delete(
      "/sessions/:id",
      endpoint(deps, {
        id: "endSession",
        summary: "End one of your sessions",
        tag,
        caller: "person",
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await endOneSession(deps, c.get("actor"), c.req.param("id"), originOf(deps, c));
        return c.body(null, 204);
      },
    );

import type { Deps } from "../deps";
import { dataOf, describe } from "../http/describe";
import { factory } from "../http/factory";
import { input } from "../http/input";
import { checkOrigin, clearSignIn, originOf, refreshTokenOf, signedInAnswer } from "./browser";
import { requireUser } from "./guard";
import { register, resendRegistrationCode, verifyRegistration } from "./registration";
import {
  challengeResponse,
  loginSchema,
  refreshSchema,
  registerSchema,
  registrationResponse,
  resendOtpSchema,
  tokensResponse,
  userResponse,
  verifyOtpSchema,
} from "./schema";
import { login, logout, refresh } from "./service";

const tag = "Sign-in";

/** /auth */
export const authRoutes = (deps: Deps) =>
  factory
    .createApp()
    .use(checkOrigin(deps))
    .post(
      "/register",
      describe({
        summary: "Register and get a code by mail",
        tag,
        response: registrationResponse,
        status: 202,
      }),
      input("json", registerSchema),
      async (c) => c.json({ data: await register(deps, c.req.valid("json")) }, 202),
    )
    .post(
      "/verify-otp",
      describe({
        summary: "Prove the address with the code",
        tag,
        response: dataOf(userResponse),
        errors: ["invalid_code"],
      }),
      input("json", verifyOtpSchema),
      async (c) => c.json({ data: await verifyRegistration(deps, c.req.valid("json")) }, 200),
    )
    .post(
      "/resend-otp",
      describe({ summary: "Ask for another code", tag, response: registrationResponse, status: 202 }),
      input("json", resendOtpSchema),
      async (c) => c.json({ data: await resendRegistrationCode(deps, c.req.valid("json")) }, 202),
    )
    .post(
      "/login",
      describe({
        summary: "Sign in",
        description: "202 with a challenge when a second factor is due: answer it at /auth/mfa/challenge.",
        tag,
        response: tokensResponse,
        also: { 202: challengeResponse },
        errors: ["invalid_credentials"],
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
      describe({ summary: "Sign out", tag, status: 204, secured: true }),
      requireUser(deps),
      async (c) => {
        await logout(deps, c.get("actor"));
        clearSignIn(deps, c);
        return c.body(null, 204);
      },
    );

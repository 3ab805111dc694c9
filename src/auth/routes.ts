import type { Context } from "hono";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import { dataOf, describe } from "../http/describe";
import { type AppEnv, factory } from "../http/factory";
import { input } from "../http/input";
import { requireUser } from "./guard";
import {
  loginSchema,
  refreshSchema,
  registerSchema,
  registrationResponse,
  resendOtpSchema,
  tokensResponse,
  userResponse,
  verifyOtpSchema,
} from "./schema";
import {
  login,
  logout,
  type Origin,
  refresh,
  register,
  resendRegistrationCode,
  verifyRegistration,
} from "./service";

const tag = "Sign-in";

const originOf = (c: Context<AppEnv>): Origin => ({
  ip: c.get("ip"),
  userAgent: (c.req.header("user-agent") ?? "unknown").slice(0, 500),
});

/** /auth */
export const authRoutes = (deps: Deps) =>
  factory
    .createApp()
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
      describe({ summary: "Sign in", tag, response: tokensResponse, errors: ["invalid_credentials"] }),
      input("json", loginSchema),
      async (c) => c.json({ data: await login(deps, c.req.valid("json"), originOf(c)) }, 200),
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
        const { refreshToken } = c.req.valid("json");
        if (refreshToken === undefined) throw new AppError("unauthenticated", "Send the refresh token.");
        return c.json({ data: await refresh(deps, refreshToken, originOf(c)) }, 200);
      },
    )
    .post(
      "/logout",
      describe({ summary: "Sign out", tag, status: 204, secured: true }),
      requireUser(deps),
      async (c) => {
        await logout(deps, c.get("actor"));
        return c.body(null, 204);
      },
    );

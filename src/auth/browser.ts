import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { type AppEnv, factory, logOf } from "../http/factory";
import { requestOrigin } from "../http/origin";
import { AppError } from "../lib/errors";
import { acceptedLanguage, type Language } from "../mail";
import type { SignedIn } from "./complete-sign-in";
import type { AuthDeps } from "./deps";
import { languageIn, type Origin } from "./origin";
import { DEVICE_TTL } from "./rules";

/**
 * What browsers need beside the tokens of native clients: the refresh token in an HttpOnly cookie that no
 * script can read, and a check of the Origin, so that no foreign page can use it. A request with an Origin is
 * a browser's; one without never gets or uses a cookie.
 */
const refreshCookie = (deps: AuthDeps) =>
  deps.config.environment === "production" ? "__Secure-aizy_refresh" : "aizy_refresh";
const deviceCookie = (deps: AuthDeps) =>
  deps.config.environment === "production" ? "__Secure-aizy_device" : "aizy_device";

/**
 * Cookies of pages on the server's own site are not sent from other sites at all. Pages of CROSS_SITE_ORIGINS need
 * them there: then the cookie is kept apart for each site that embeds it (CHIPS), and `checkOrigin` lets no page use
 * it but those that are configured.
 */
const cookieOptions = (deps: AuthDeps, c: Context<AppEnv>) => {
  const shared = { path: "/auth", httpOnly: true } as const;
  if (deps.config.crossSiteOrigins.includes(c.req.header("origin") ?? "")) {
    return { ...shared, sameSite: "None", secure: true, partitioned: true } as const;
  }
  // Browsers take a Secure cookie over plain HTTP from localhost only in part.
  return { ...shared, sameSite: "Strict", secure: deps.config.environment === "production" } as const;
};

/** Whether a page asks, which keeps its secrets in cookies; apps of NATIVE_ORIGINS have none. */
const isBrowser = (deps: AuthDeps, c: Context<AppEnv>): boolean => {
  const origin = c.req.header("origin");
  return origin !== undefined && !deps.config.nativeOrigins.includes(origin);
};

/** True for an origin that is configured, or the one that the request itself was sent to. */
const isAllowed = (deps: AuthDeps, c: Context<AppEnv>, origin: string): boolean =>
  [...deps.config.corsOrigins, ...deps.config.nativeOrigins].includes(origin) ||
  // The scheme is left out: a proxy may end TLS before us.
  (/^https?:$/.test(URL.parse(origin)?.protocol ?? "") &&
    URL.parse(origin)?.host === (c.req.header("host") ?? new URL(c.req.url).host));

/** Refuses requests that a foreign page made a browser send. */
export const checkOrigin = (deps: AuthDeps) => {
  const told = new Set<string>();
  return factory.createMiddleware(async (c, next) => {
    const origin = c.req.header("origin");
    if (origin !== undefined && c.req.method !== "GET" && !isAllowed(deps, c, origin)) {
      throw new AppError("origin_not_allowed", "Pages of this origin may not do this. See CORS_ORIGINS.");
    }
    const { corsOrigins, crossSiteOrigins } = deps.config;
    if (
      origin !== undefined &&
      c.req.header("sec-fetch-site") === "cross-site" &&
      corsOrigins.includes(origin) &&
      ![...crossSiteOrigins, ...told].includes(origin)
    ) {
      told.add(origin);
      logOf(c).warn(
        { origin },
        "pages of this origin are on another site, where browsers send no SameSite=Strict cookie: name it in CROSS_SITE_ORIGINS, or nobody stays signed in there",
      );
    }
    await next();
  });
};

/** Most people whose device tokens one browser keeps side by side: a cookie has room for no more than 4 KB. */
const PEOPLE_OF_BROWSER = 10;

/** The device tokens of a browser's cookie, the last signed in first. */
const deviceTokensOf = (deps: AuthDeps, c: Context<AppEnv>): string[] =>
  isBrowser(deps, c) ? (getCookie(c, deviceCookie(deps)) ?? "").split("~").slice(0, PEOPLE_OF_BROWSER) : [];

/** Where the request came from, with the device token of the body (native) or those of the cookie (browser). */
export const originOf = (deps: AuthDeps, c: Context<AppEnv>, deviceToken?: string): Origin => ({
  ...languageIn({ language: acceptedLanguage(c.req.header("accept-language")) } as { language?: Language }),
  ...requestOrigin(c),
  deviceTokens: deviceToken === undefined ? deviceTokensOf(deps, c) : [deviceToken],
});

/** The refresh token of a browser's cookie. */
export const refreshTokenOfCookie = (deps: AuthDeps, c: Context<AppEnv>): string | undefined =>
  isBrowser(deps, c) ? getCookie(c, refreshCookie(deps)) : undefined;

/**
 * The refresh token of the body (native) or the cookie (browser), which tabs share.
 * @throws AppError unauthenticated without one
 */
export function refreshTokenOf(
  deps: AuthDeps,
  c: Context<AppEnv>,
  given: string | undefined,
): { token: string; shared: boolean } {
  const token = given ?? refreshTokenOfCookie(deps, c);
  if (token === undefined) throw new AppError("unauthenticated", "Send the refresh token.");
  return { token, shared: given === undefined };
}

/** The answer of a completed sign-in: for a browser its secrets go into cookies instead of the body. */
export function signedInAnswer(
  deps: AuthDeps,
  c: Context<AppEnv>,
  { refreshToken, deviceToken, ...rest }: SignedIn,
): Omit<SignedIn, "refreshToken"> & { refreshToken?: string } {
  c.header("Cache-Control", "no-store");
  if (!isBrowser(deps, c)) return { ...rest, refreshToken, deviceToken };
  setCookie(c, refreshCookie(deps), refreshToken, {
    ...cookieOptions(deps, c),
    expires: new Date(rest.refreshExpiresAt),
  });
  if (deviceToken !== undefined) {
    const others = deviceTokensOf(deps, c).filter((token) => {
      const owner = deps.tokens.deviceOwner(token);
      return owner !== null && owner !== rest.user.id;
    });
    const tokens = [deviceToken, ...others].slice(0, PEOPLE_OF_BROWSER).join("~");
    setCookie(c, deviceCookie(deps), tokens, { ...cookieOptions(deps, c), maxAge: DEVICE_TTL / 1000 });
  }
  return rest;
}

/** Takes the refresh token back; the device stays a known one. */
export function clearSignIn(deps: AuthDeps, c: Context<AppEnv>): void {
  c.header("Cache-Control", "no-store");
  if (isBrowser(deps, c) || getCookie(c, refreshCookie(deps)) !== undefined)
    deleteCookie(c, refreshCookie(deps), cookieOptions(deps, c));
}

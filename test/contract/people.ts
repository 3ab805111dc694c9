/** Every operation on accounts, driven to a success. */
import { Authenticator } from "../authenticator";
import { codeOf } from "../second-factor";
import { ANY_VERSION, type Call, picture, type World } from "./drive";

/** Signing up, in and out, with codes, keys, factors and passkeys. */
export async function signingIn({ admin, staff, anybody, as, tokenTo, mailTo, t }: World): Promise<void> {
  const email = "ann@example.com";
  const password = "correct horse battery";
  const begun = await anybody("POST /auth/register", { json: { email, password, name: "Ann" } });
  const { registrationId } = begun;
  t.clock.advance(61_000);
  await anybody("POST /auth/resend-otp", { json: { registrationId, email } });
  const [otp] = /\b\d{6}\b/.exec(await mailTo(email)) ?? [];
  await anybody("POST /auth/verify-otp", { json: { registrationId, email, otp } });
  const login = async (json: object = { email, password }) => anybody("POST /auth/login", { json });
  const signedIn = await login();
  const { refreshToken } = signedIn;
  let tokens = await anybody("POST /auth/refresh", { json: { refreshToken } });
  const ann = (): Call => as(tokens);
  await login();
  await ann()("GET /auth/sessions");
  const [other] = (await ann()("GET /auth/sessions")).filter((one: { current: boolean }) => !one.current);
  await ann()("DELETE /auth/sessions/{id}", { at: { id: other.id } });
  await ann()("DELETE /auth/sessions");
  const [device] = await ann()("GET /auth/devices");
  await ann()("DELETE /auth/devices/{id}", { at: { id: device.id } });
  await login();
  await ann()("DELETE /auth/devices");
  const key = { name: "own", permissions: [], password };
  const { id } = await staff("POST /auth/api-keys", {
    json: { ...key, permissions: ["inventory:read"], password: admin.password },
  });
  await staff("GET /auth/api-keys");
  await staff("DELETE /auth/api-keys/{id}", { at: { id } });

  const { secret } = await ann()("POST /auth/mfa/enrol", { json: { password } });
  const code = () => {
    t.clock.advance(30_000);
    return codeOf(secret, t.clock.now());
  };
  await ann()("POST /auth/mfa/confirm", { json: { code: code() } });
  await ann()("GET /auth/mfa");
  const { challenge } = await login();
  tokens = await anybody("POST /auth/mfa/challenge", { json: { challenge, method: "totp", code: code() } });
  const proof = () => ({ password, factor: { method: "totp", code: code() } });
  await ann()("POST /auth/mfa/backup-codes", { json: proof() });

  const authenticator = new Authenticator();
  const adding = await ann()("POST /auth/passkeys/register/options", { json: proof() });
  const made = await ann()("POST /auth/passkeys/register/verify", {
    json: { challengeId: adding.challengeId, response: authenticator.create(adding.options) },
  });
  await ann()("GET /auth/passkeys");
  await ann()("PATCH /auth/passkeys/{id}", {
    at: { id: made.id },
    json: { name: "Key" },
    headers: { "if-match": `"v${made.version}"` },
  });
  const using = await anybody("POST /auth/passkeys/sign-in/options");
  tokens = await anybody("POST /auth/passkeys/sign-in/verify", {
    json: { challengeId: using.challengeId, response: authenticator.get(using.options) },
  });
  await ann()("POST /auth/mfa/disable", { json: proof() });
  await ann()("DELETE /auth/passkeys/{id}", { at: { id: made.id } });

  await ann()("POST /auth/change-password", {
    json: { currentPassword: password, newPassword: "another horse battery" },
  });
  await anybody("POST /auth/forgot-password", { json: { email } });
  const token = await tokenTo(email);
  await anybody("POST /auth/reset-password", { json: { token, password } });
  tokens = await login();
  await ann()("POST /auth/logout", { json: {} });
}

/** One's own account. */
export async function ownAccount({ anybody, as, work, tokenTo, t }: World): Promise<void> {
  const person = await t.signIn({ name: "Ben" });
  const own = as(person);
  const { password } = person;
  await own("GET /api/users/me");
  await own("PATCH /api/users/me", { json: { name: "Benjamin" }, headers: ANY_VERSION });
  await own("GET /api/users/me/preferences");
  await own("PATCH /api/users/me/preferences", { json: { theme: "dark", marketing: { email: true } } });
  await own("PUT /api/users/me/preferences", { json: { language: "de" }, headers: ANY_VERSION });
  await own("PATCH /api/users/me/settings", { json: { notices: { newDevice: false } } });
  await own("POST /api/users/me/settings/email-change", {
    json: { newEmail: "first@example.com", password },
  });
  await own("DELETE /api/users/me/settings/email-change");
  await own("POST /api/users/me/settings/email-change", { json: { newEmail: "ben@example.com", password } });
  await own("GET /api/users/me/settings");
  const token = await tokenTo("ben@example.com");
  await anybody("POST /api/users/me/settings/email-change/confirm", { json: { token } });
  const shown = await own("PUT /api/users/me/avatar", { body: await picture() });
  const [, , , , id = "", file = ""] = new URL(shown.avatar.sources[0].url, "http://x").pathname.split("/");
  await anybody("GET /api/users/avatars/{id}/{file}", { at: { id, file } });
  await own("GET /api/users/me");
  await own("DELETE /api/users/me/avatar");
  const archive = await own("POST /api/users/me/export");
  await work();
  await own("GET /api/users/me/export");
  await own("GET /api/users/me/export/{id}", { at: { id: archive.id } });
  await own("GET /api/users/me/export/{id}/download", { at: { id: archive.id } });
  await own("GET /api/users/me/audit");
  await own("DELETE /api/users/me", { json: { password } });
}

/** Other people's accounts, roles and jobs. */
export async function otherPeople({ staff, as, work, t }: World): Promise<void> {
  const person = await t.signIn();
  const at = { id: person.id };
  await staff("GET /api/users", { query: "limit=3" });
  const { version } = await staff("GET /api/users/{id}", { at });
  await staff("PATCH /api/users/{id}", {
    at,
    json: { ban: { reason: "spam" } },
    headers: { "if-match": `"v${version}"` },
  });
  await staff("PATCH /api/users/{id}", { at, json: { ban: null }, headers: ANY_VERSION });
  await staff("DELETE /api/users/{id}/sessions", { at });
  await staff("POST /api/users/{id}/password-reset", { at });
  await staff("POST /api/users/{id}/email-change", { at, json: { newEmail: "carl@example.com" } });
  const factor = await t.signIn();
  const { secret } = await as(factor)("POST /auth/mfa/enrol", { json: { password: factor.password } });
  await as(factor)("POST /auth/mfa/confirm", { json: { code: codeOf(secret, t.clock.now()) } });
  await staff("DELETE /api/users/{id}/second-factor", { at: { id: factor.id } });
  await staff("GET /api/users/permissions");
  await staff("GET /api/users/roles");
  const role = await staff("POST /api/users/roles", {
    json: { name: "till", permissions: ["inventory:read"] },
  });
  await staff("GET /api/users/roles/{id}", { at: role });
  await staff("PATCH /api/users/roles/{id}", {
    at: role,
    json: { description: "Tills" },
    headers: ANY_VERSION,
  });
  await staff("DELETE /api/users/roles/{id}", { at: role, headers: ANY_VERSION });
  await staff("GET /api/users/audit-log", { query: "limit=100" });
  await work();
  const job = { id: t.deps.random.id(), kind: "test.mysql", payload: {}, runAt: t.clock.now() };
  await t.deps.jobs.mysql.enqueue(job);
  await staff("GET /api/jobs");
  await staff("POST /api/jobs/{id}/retry", { at: job as never });
  await staff("DELETE /api/jobs/{id}", { at: job as never });
}

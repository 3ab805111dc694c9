import { Secret, TOTP } from "otpauth";
import type { SignedInPerson, TestApp } from "./app";

/** The code that an authenticator app with this secret (base 32) shows, `steps` of 30 s from a time. */
export const codeOf = (secret: string, time: Date, steps = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: time.getTime() + steps * 30_000 });

/** A code that the app shows neither now nor in the steps around. */
export const wrongCode = (secret: string, time: Date): string => {
  const near = [-2, -1, 0, 1, 2].map((steps) => codeOf(secret, time, steps));
  return (
    ["000000", "000001", "000002", "000003", "000004", "000005"].find((code) => !near.includes(code)) ?? ""
  );
};

/** Gives a person an authenticator app that counts. @returns its secret (base 32) and the backup codes */
export async function enrolled(
  t: TestApp,
  person: Pick<SignedInPerson, "accessToken" | "password">,
): Promise<{ secret: string; backupCodes: string[] }> {
  const post = async (path: string, json: unknown) => {
    const answer = await t.request(`/auth/mfa/${path}`, { method: "POST", json, token: person.accessToken });
    if (!answer.ok) throw new Error(`${path} of a test failed: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).data;
  };
  const { secret } = await post("enrol", { password: person.password });
  const { backupCodes } = await post("confirm", { code: codeOf(secret, t.clock.now()) });
  // The first code is used up: the next one can be used at once.
  t.clock.advance(30_000);
  return { secret, backupCodes };
}

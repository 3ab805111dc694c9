import { Secret, TOTP } from "otpauth";
import { SECOND } from "../../lib/clock";

/** 160 bits, as RFC 4226 §4 recommends. */
export const SECRET_BYTES = 20;
/** Length of a time step (RFC 6238 §5.2). */
const PERIOD = 30 * SECOND;
/** Steps before and after the present one whose codes are taken: clocks differ, and typing takes time. */
const WINDOW = 1;
const ISSUER = "Aizy";

const totpOf = (secret: Uint8Array<ArrayBuffer>, label = "") =>
  new TOTP({
    issuer: ISSUER,
    label,
    algorithm: "SHA1",
    digits: 6,
    period: PERIOD / SECOND,
    secret: new Secret({ buffer: secret.buffer }),
  });

/** The secret as people type it and as authenticator apps read it from a QR code. */
export const presentSecret = (
  secret: Uint8Array<ArrayBuffer>,
  email: string,
): { secret: string; uri: string } => {
  const totp = totpOf(secret, email);
  return { secret: totp.secret.base32, uri: totp.toString() };
};

/** The time step whose code this is, or null when it is none of the present one or its neighbours (RFC 6238). */
export function stepOfCode(secret: Uint8Array<ArrayBuffer>, code: string, now: Date): number | null {
  const delta = totpOf(secret).validate({ token: code, timestamp: now.getTime(), window: WINDOW });
  return delta === null ? null : Math.floor(now.getTime() / PERIOD) + delta;
}

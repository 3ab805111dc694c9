import otpGenerator from "otp-generator";
import { isMac, type Keys, macOf } from "../lib/crypto";

/** One-time codes of six digits. */
export interface Otp {
  /** A new code. */
  generate(): string;
  /** The keyed hash under which a code is stored; bound to the row it belongs to. */
  hash(code: string, rowId: string): Uint8Array<ArrayBuffer>;
  /** Compares in constant time. False when no code was sent yet. */
  matches(code: string, rowId: string, hash: Uint8Array | null): boolean;
}

/** Compared with when no code was sent, so that the same work is done. */
const NEVER = new Uint8Array(32);

/** @param keys the derived keys of the purpose "verification-code" */
export function createOtp(keys: Keys): Otp {
  const messageOf = (code: string, rowId: string) => `${rowId}:${code}`;
  return {
    // otp-generator refuses a leading zero (900,000 codes): of seven digits the first is dropped. It changes
    // the options it is given, so it gets new ones each time.
    generate: () =>
      otpGenerator
        .generate(7, {
          digits: true,
          lowerCaseAlphabets: false,
          upperCaseAlphabets: false,
          specialChars: false,
        })
        .slice(1),
    hash: (code, rowId) => macOf(keys[0], messageOf(code, rowId)),
    matches: (code, rowId, stored) => isMac(keys, messageOf(code, rowId), stored ?? NEVER) && stored !== null,
  };
}

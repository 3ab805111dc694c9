import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import { PASSKEY_TTL } from "../rules";

/** Loaded when it is first used: its parsers of certificates would make every start some 200 ms longer. */
const library = () => import("@simplewebauthn/server");

const NAME = "Aizy";
/** EdDSA, ES256 and RS256: between them, every authenticator there is. */
const ALGORITHMS = [-8, -7, -257];

/** Who asks for passkeys, from the configuration alone. */
export interface RelyingParty {
  id: string;
  origins: string[];
}

/**
 * The relying party of a configuration: passkeys belong to the host of `APP_URL`; its pages, and pages of
 * `CORS_ORIGINS` on it or below it, may use them.
 */
export function relyingParty(config: { appUrl: string; corsOrigins: string[] }): RelyingParty {
  const id = new URL(config.appUrl).hostname;
  const belongs = (origin: string) => {
    const host = new URL(origin).hostname;
    return host === id || host.endsWith(`.${id}`);
  };
  return { id, origins: [...new Set([config.appUrl, ...config.corsOrigins.filter(belongs)])] };
}

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
export const fromText = (text: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.from(text, "base64url"));

/** The user handle of a person: their id, which says nothing about them. */
const handleOf = (userId: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(userId));

/** Whose user handle it is. */
export const userOfHandle = (handle: string): string => Buffer.from(handle, "base64url").toString();

/** What a browser needs to make a passkey: one that the person is found by and that checks who uses it. */
export const creationOptions = async (
  rp: RelyingParty,
  person: { id: string; email: string; name: string },
  challenge: Uint8Array<ArrayBuffer>,
  existing: { credentialId: Uint8Array; transports: unknown }[],
) =>
  (await library()).generateRegistrationOptions({
    rpName: NAME,
    rpID: rp.id,
    userID: handleOf(person.id),
    userName: person.email,
    userDisplayName: person.name,
    challenge,
    timeout: PASSKEY_TTL,
    attestationType: "none",
    excludeCredentials: existing.map(({ credentialId, transports }) => ({
      id: toText(credentialId),
      transports: transports as string[],
    })),
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    supportedAlgorithmIDs: ALGORITHMS,
  });

/** What a browser needs to sign anybody in: no credential is named, so nothing tells who is known. */
export const requestOptions = async (rp: RelyingParty, challenge: Uint8Array<ArrayBuffer>) =>
  (await library()).generateAuthenticationOptions({
    rpID: rp.id,
    challenge,
    timeout: PASSKEY_TTL,
    userVerification: "required",
  });

/** A new credential, checked. */
export interface NewCredential {
  credentialId: Uint8Array<ArrayBuffer>;
  publicKey: Uint8Array<ArrayBuffer>;
  signCount: number;
  aaguid: string;
  synced: boolean;
}

/**
 * Checks what an authenticator made. No attestation was asked for; one with certificates is refused, since
 * checking those means fetching addresses that stand in them.
 * @returns null for whatever is wrong with it
 */
export async function checkCreation(
  rp: RelyingParty,
  response: RegistrationResponseJSON,
  challenge: Uint8Array<ArrayBuffer>,
): Promise<NewCredential | null> {
  const { verifyRegistrationResponse } = await library();
  const { decodeAttestationObject } = await import("@simplewebauthn/server/helpers");
  try {
    const attestation = decodeAttestationObject(fromText(response.response.attestationObject));
    const format = attestation.get("fmt");
    const selfMade = format === "packed" && attestation.get("attStmt").get("x5c") === undefined;
    if (format !== "none" && !selfMade) return null;
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response,
      expectedChallenge: toText(challenge),
      expectedOrigin: rp.origins,
      expectedRPID: rp.id,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    });
    if (!verified) return null;
    const { credential, aaguid, credentialBackedUp } = registrationInfo;
    return {
      credentialId: fromText(credential.id),
      publicKey: new Uint8Array(credential.publicKey),
      signCount: credential.counter,
      aaguid,
      synced: credentialBackedUp,
    };
  } catch {
    // The library throws for everything that is wrong with what was sent.
    return null;
  }
}

/**
 * Checks what an authenticator signed. Its count is left to the caller, who keeps it.
 * @returns null for whatever is wrong with it
 */
export async function checkAssertion(
  rp: RelyingParty,
  response: AuthenticationResponseJSON,
  challenge: Uint8Array<ArrayBuffer>,
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<{ signCount: number; synced: boolean } | null> {
  const { verifyAuthenticationResponse } = await library();
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response,
      expectedChallenge: toText(challenge),
      expectedOrigin: rp.origins,
      expectedRPID: rp.id,
      requireUserVerification: true,
      credential: { id: response.id, publicKey, counter: 0 },
    });
    if (!verified) return null;
    const { newCounter, credentialBackedUp } = authenticationInfo;
    return { signCount: newCounter, synced: credentialBackedUp };
  } catch {
    return null;
  }
}

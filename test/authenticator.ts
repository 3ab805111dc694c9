import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

type Cbor = number | string | Uint8Array | Map<Cbor, Cbor> | Cbor[];

/** CBOR of what an authenticator writes: integers, texts, bytes, maps, lists (RFC 8949 §3). */
function cbor(value: Cbor): Buffer {
  const head = (major: number, n: number): Buffer => {
    if (n < 24) return Buffer.from([(major << 5) | n]);
    if (n < 256) return Buffer.from([(major << 5) | 24, n]);
    return Buffer.from([(major << 5) | 25, n >> 8, n & 255]);
  };
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string")
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  return Buffer.concat([
    head(5, value.size),
    ...[...value].flatMap(([key, item]) => [cbor(key), cbor(item)]),
  ]);
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest();

interface Credential {
  id: Buffer;
  privateKey: KeyObject;
  rpId: string;
  userHandle: string;
  count: number;
}

/** What a ceremony may say that an honest one would not. */
export interface Lies {
  origin?: string;
  type?: string;
  challenge?: string;
  rpId?: string;
  /** The person was recognised (by finger, face or PIN). */
  verified?: boolean;
  present?: boolean;
  /** The count of signatures. */
  count?: number;
  userHandle?: string | undefined;
  /** Breaks the signature. */
  forged?: boolean;
  attestation?: { fmt: string; attStmt: Map<string, Cbor> };
  extra?: Record<string, unknown>;
}

/** An authenticator in code, with the browser around it: ES256 keys that stay in it (WebAuthn level 3). */
export class Authenticator {
  readonly credentials: Credential[] = [];
  constructor(readonly origin = "http://localhost:3000") {}

  #clientData(type: string, challenge: string, lies: Lies): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: lies.type ?? type,
        challenge: lies.challenge ?? challenge,
        origin: lies.origin ?? this.origin,
        crossOrigin: false,
        ...lies.extra,
      }),
    );
  }

  /** §6.1: the relying party's hash, the flags, the count, and the new key when there is one. */
  #authData(rpId: string, count: number, lies: Lies, attested?: Buffer): Buffer {
    const flags =
      (lies.present === false ? 0 : 1) |
      (lies.verified === false ? 0 : 4) |
      (attested === undefined ? 0 : 64);
    const head = Buffer.alloc(5);
    head.writeUInt8(flags, 0);
    head.writeUInt32BE(lies.count ?? count, 1);
    return Buffer.concat([sha256(lies.rpId ?? rpId), head, attested ?? Buffer.alloc(0)]);
  }

  /** `navigator.credentials.create()` and `toJSON()` of what it gives. */
  create(options: { challenge: string; rp: { id?: string }; user: { id: string } }, lies: Lies = {}) {
    const rpId = options.rp.id ?? "";
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { x = "", y = "" } = publicKey.export({ format: "jwk" });
    const credential = { id: randomBytes(32), privateKey, rpId, userHandle: options.user.id, count: 0 };
    this.credentials.push(credential);
    // RFC 9053: EC2, ES256, P-256.
    const cose = cbor(
      new Map<Cbor, Cbor>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(x, "base64url")],
        [-3, Buffer.from(y, "base64url")],
      ]),
    );
    const length = Buffer.alloc(2);
    length.writeUInt16BE(credential.id.length);
    const authData = this.#authData(
      rpId,
      0,
      lies,
      Buffer.concat([Buffer.alloc(16), length, credential.id, cose]),
    );
    const { fmt, attStmt } = lies.attestation ?? { fmt: "none", attStmt: new Map() };
    const attestationObject = cbor(
      new Map<Cbor, Cbor>([
        ["fmt", fmt],
        ["attStmt", new Map<Cbor, Cbor>(attStmt)],
        ["authData", authData],
      ]),
    );
    return {
      id: text(credential.id),
      rawId: text(credential.id),
      type: "public-key" as const,
      authenticatorAttachment: "platform",
      clientExtensionResults: { credProps: { rk: true } },
      response: {
        clientDataJSON: text(this.#clientData("webauthn.create", options.challenge, lies)),
        attestationObject: text(attestationObject),
        transports: ["internal"],
        publicKeyAlgorithm: -7,
      },
    };
  }

  /** `navigator.credentials.get()` with the newest passkey, or the one named. */
  get(options: { challenge: string; rpId?: string }, lies: Lies = {}, credential = this.credentials.at(-1)) {
    if (!credential) throw new Error("no passkey");
    const count = ++credential.count;
    const authData = this.#authData(credential.rpId, count, lies);
    const clientData = this.#clientData("webauthn.get", options.challenge, lies);
    const signed = Buffer.concat([authData, sha256(clientData)]);
    const signature = sign("sha256", signed, credential.privateKey);
    if (lies.forged) signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
    return {
      id: text(credential.id),
      rawId: text(credential.id),
      type: "public-key" as const,
      clientExtensionResults: {},
      response: {
        clientDataJSON: text(clientData),
        authenticatorData: text(authData),
        signature: text(signature),
        ...("userHandle" in lies
          ? lies.userHandle === undefined
            ? {}
            : { userHandle: lies.userHandle }
          : { userHandle: credential.userHandle }),
      },
    };
  }
}

import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { idSchema } from "../../http/fields";
import { proofSchema } from "../mfa/schema";
import { deviceTokenSchema, labelSchema } from "../schema";

export const registerOptionsSchema = proofSchema;

const nameSchema = labelSchema(100).meta({ example: "Ann's phone" });

const base64url = (max: number) =>
  z
    .string("must be a string")
    .max(max, { error: "is too long", abort: true })
    .regex(/^[A-Za-z0-9_-]*$/, "must be base64url");

const id = base64url(1364);

/**
 * What `PublicKeyCredential.toJSON()` gives in a browser. Browsers add members as they grow, so those that are
 * not needed are left out here instead of refused.
 */
const credential = {
  id,
  rawId: id,
  type: z.literal("public-key"),
  clientExtensionResults: z.object({}).default({}),
};

export const registerSchema = z
  .strictObject({
    challengeId: idSchema,
    name: nameSchema.optional(),
    response: z.object({
      ...credential,
      response: z.object({
        clientDataJSON: base64url(8000),
        attestationObject: base64url(20_000),
        transports: z.array(z.string().max(20)).max(10).optional(),
      }),
    }),
  })
  .meta({ id: "Register" });
export type RegisterPasskey = z.output<typeof registerSchema>;

export const signInSchema = z
  .strictObject({
    challengeId: idSchema,
    deviceToken: deviceTokenSchema,
    response: z.object({
      ...credential,
      response: z.object({
        clientDataJSON: base64url(8000),
        authenticatorData: base64url(8000),
        signature: base64url(8000),
        userHandle: base64url(200).optional(),
      }),
    }),
  })
  .meta({ id: "SignIn" });
export type PasskeySignIn = Omit<z.output<typeof signInSchema>, "deviceToken">;

export const renameSchema = z.strictObject({ name: nameSchema }).meta({ id: "Rename" });
export const passkeyParam = z.object({ id: idSchema });

const passkeyResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    /** Whether it is kept on more than one device. */
    synced: z.boolean(),
    /** The authenticator's model; zeros when it does not say. */
    aaguid: z.string(),
    version: z.number().int(),
    createdAt: z.string(),
    lastUsedAt: z.string().nullable(),
  })
  .meta({ id: "Passkey" });
export type PasskeyResponse = z.infer<typeof passkeyResponse>;
export const passkeyAnswer = dataOf(passkeyResponse);
export const passkeyListAnswer = dataOf(z.array(passkeyResponse));

const options = <Options extends z.ZodType>(schema: Options) =>
  dataOf(
    z.object({
      challengeId: z.string(),
      /** For `PublicKeyCredential.parse…OptionsFromJSON` or @simplewebauthn/browser. */
      options: schema,
      /** Seconds. */
      expiresIn: z.number().int(),
    }),
  );
const described = z.array(
  z.object({
    id: z.string(),
    type: z.string(),
    transports: z.array(z.string()).optional(),
  }),
);
const inEither = {
  challenge: z.string(),
  /** Milliseconds. */
  timeout: z.number().optional(),
  hints: z.array(z.string()).optional(),
  extensions: z.unknown().optional(),
};
// Every member by name, so that the types of the client are the project's own and need no package.
export const registerOptionsAnswer = options(
  z.object({
    ...inEither,
    rp: z.object({ id: z.string().optional(), name: z.string() }),
    user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
    pubKeyCredParams: z.array(z.object({ alg: z.number(), type: z.literal("public-key") })),
    excludeCredentials: described.optional(),
    authenticatorSelection: z
      .object({
        authenticatorAttachment: z.string().optional(),
        requireResidentKey: z.boolean().optional(),
        residentKey: z.string().optional(),
        userVerification: z.string().optional(),
      })
      .optional(),
    attestation: z.string().optional(),
    attestationFormats: z.array(z.string()).optional(),
  }),
);
export type PasskeyRegistration = z.infer<typeof registerOptionsAnswer>["data"];
export const signInOptionsAnswer = options(
  z.object({
    ...inEither,
    rpId: z.string().optional(),
    allowCredentials: described.optional(),
    userVerification: z.string().optional(),
  }),
);
export type PasskeyRequest = z.infer<typeof signInOptionsAnswer>["data"];

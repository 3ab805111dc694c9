import { z } from "zod";
import { dataOf, pageOf } from "../http/envelopes";
import { idSchema } from "../http/fields";
import { isEmail, MAX_EMAIL } from "../lib/email";
import { cleanText, isVisible } from "../lib/text";
import { isCommonPassword } from "./common";
import { SECOND_FACTORS } from "./second-factor";

/** Refuses control characters, also the invisible ones that turn text around. */
const NO_CONTROLS = /^[^\p{Cc}\u202a-\u202e\u2066-\u2069]*$/u;

/** One address, without line breaks or invisible characters. */
export const emailSchema = z
  .string("must be a string")
  .max(MAX_EMAIL, { error: `must be at most ${MAX_EMAIL} characters`, abort: true })
  // Before trimming, which would take a line break off the end.
  .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, "must not hold control characters")
  .transform(cleanText)
  .pipe(z.string().refine(isEmail, "must be one email address, such as ann@example.com"))
  .meta({ example: "ann@example.com" });

const codePoints = (text: string) => [...text.normalize("NFKC")].length;

/** A new password: 8 to 128 code points after NFKC, no rules of composition (NIST SP 800-63B §5.1.1). */
export const newPasswordSchema = z
  .string("must be a string")
  .max(1024, { error: "must be at most 128 characters", abort: true })
  .refine((text) => codePoints(text) >= 8, "must be at least 8 characters")
  .refine((text) => codePoints(text) <= 128, "must be at most 128 characters")
  .refine((text) => !isCommonPassword(text), "is one of the first that anyone would try")
  .meta({ example: "correct horse battery" });

/** A password that is only compared: bounded, so that nobody makes us hash a megabyte. */
export const passwordSchema = z.string("must be a string").min(1, "is missing").max(1024, "is too long");

/** A name that a person gives themselves or something of theirs: one line that shows something. */
export const labelSchema = (max: number) =>
  z
    .string("must be a string")
    .max(max * 5, `must be at most ${max} characters`)
    .regex(NO_CONTROLS, "must not hold control characters")
    .transform(cleanText)
    .pipe(
      z
        .string()
        .max(max, `must be at most ${max} characters`)
        .refine(isVisible, "must show something: a letter, a digit or a sign"),
    );

export const nameSchema = labelSchema(200).meta({ example: "Ann" });

const otpSchema = z
  .string("must be a string")
  .regex(/^\d{6}$/, "must be six digits")
  .meta({ example: "048151" });

export const registerSchema = z
  .strictObject({
    email: emailSchema,
    password: newPasswordSchema,
    name: nameSchema,
  })
  .meta({ id: "RegisterBody" });

export const verifyOtpSchema = z
  .strictObject({
    registrationId: idSchema,
    email: emailSchema,
    otp: otpSchema,
  })
  .meta({ id: "VerifyOtp" });

export const resendOtpSchema = z
  .strictObject({ registrationId: idSchema, email: emailSchema })
  .meta({ id: "ResendOtp" });

/** What a native client kept of an earlier sign-in on this device. Browsers keep it in a cookie. */
export const deviceTokenSchema = z.string("must be a string").max(500).optional();

/** Whether known devices are to be forgotten with what is done: offered where a thief may have been. */
const forgetDevicesSchema = z.boolean("must be true or false").default(false);

export const loginSchema = z.strictObject({
  email: emailSchema,
  password: passwordSchema,
  deviceToken: deviceTokenSchema,
});

export const refreshSchema = z
  .strictObject({ refreshToken: z.string().max(200).optional() })
  .meta({ id: "Refresh" });

/** Any text: signing out with what is no token of ours is no error. */
export const logoutSchema = z
  .strictObject({ refreshToken: z.string("must be a string").nullish() })
  .optional()
  .meta({ id: "Logout" });

export const forgotPasswordSchema = z
  .strictObject({
    email: emailSchema,
    deviceToken: deviceTokenSchema,
  })
  .meta({ id: "ForgotPassword" });

export const resetPasswordSchema = z.strictObject({
  token: z.string("must be a string").max(200, "is not a token of ours"),
  password: newPasswordSchema,
  /** Someone who resets a password may not know who else had it. */
  revokeApiKeys: z.boolean("must be true or false").default(true),
  deviceToken: deviceTokenSchema,
  forgetDevices: forgetDevicesSchema,
});

export const changePasswordSchema = z.strictObject({
  currentPassword: passwordSchema,
  newPassword: newPasswordSchema,
  revokeApiKeys: z.boolean("must be true or false").default(false),
  forgetDevices: forgetDevicesSchema,
});

const flagSchema = z
  .enum(["true", "false"], "must be true or false")
  .default("false")
  .transform((text) => text === "true");

/** What else may end with all sessions. */
export const endSessionsSchema = z.strictObject({
  revokeApiKeys: flagSchema,
  forgetDevices: flagSchema,
});

export const listSessionsSchema = z.strictObject({
  state: z.enum(["active", "ended", "all"]).default("active"),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(1000).optional(),
});

export const forgotPasswordResponse = dataOf(
  z.object({
    /** Seconds a link stays good. */
    expiresIn: z.number().int(),
  }),
);

export const sessionsResponse = pageOf(
  z.object({
    id: z.string(),
    device: z.string().meta({ example: "Firefox on Linux" }),
    userAgent: z.string(),
    ip: z.string(),
    method: z.string(),
    current: z.boolean(),
    createdAt: z.string(),
    lastUsedAt: z.string(),
    expiresAt: z.string(),
    endedAt: z.string().nullable(),
    endReason: z.string().nullable(),
    endDetail: z.string().nullable().meta({ example: "its refresh token was used twice, from 192.0.2.1" }),
  }),
);

const named = z.array(z.object({ id: z.string(), name: z.string() }));
/** What became of a person's API keys when their sessions ended. */
const keysAfterEnd = z.object({ revoked: named, working: named });
export type KeysAfterEnd = z.infer<typeof keysAfterEnd>;

export const endedResponse = dataOf(
  z.object({
    ended: z.number().int(),
    /** Known devices that were forgotten with them, where that was asked for. */
    forgotten: z.number().int().optional(),
    /** The API keys of the person, when there are any: those that were revoked and those that go on working. */
    apiKeys: keysAfterEnd.optional(),
  }),
);
export type SessionsEnded = z.infer<typeof endedResponse>["data"];
export type EndSessionsOptions = z.output<typeof endSessionsSchema>;

export const registrationResponse = dataOf(
  z.object({
    registrationId: z.string(),
    /** Seconds until another code may be asked for. */
    resendAfter: z.number().int(),
    /** Seconds a code stays good. */
    expiresIn: z.number().int(),
  }),
);

export const userResponse = z
  .object({
    id: z.string(),
    email: z.string(),
    name: z.string(),
    roles: z.array(z.string()),
    /** Files of the person's picture, the smallest first. */
    avatar: z
      .object({ sources: z.array(z.object({ type: z.string(), width: z.number().int(), url: z.string() })) })
      .nullable(),
    createdAt: z.string(),
  })
  .meta({ id: "User" });

export const tokensResponse = dataOf(
  z.object({
    accessToken: z.string(),
    tokenType: z.literal("Bearer"),
    /** Seconds until the access token ends. */
    expiresIn: z.number().int(),
    /** For native clients; browsers get it as an HttpOnly cookie. */
    refreshToken: z.string().optional(),
    refreshExpiresAt: z.string(),
    deviceToken: z.string().optional(),
    /** Only where a role demands a second factor that this sign-in did not show: enrol one. */
    secondFactorRequired: z.literal(true).optional(),
    user: userResponse,
  }),
);

/** A right password whose owner has a second factor. */
export const challengeResponse = dataOf(
  z.object({
    mfaRequired: z.literal(true),
    challenge: z.string(),
    methods: z.array(z.enum(SECOND_FACTORS)),
    /** Seconds. */
    expiresIn: z.number().int(),
  }),
);

import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import type { ErrorCode } from "../../lib/errors";
import { passwordSchema } from "../schema";
import { SECOND_FACTORS } from "../second-factor";
import { BACKUP_CODE, canonicalBackupCode } from "./backup-codes";

/** Apps show a code as `048 151`. */
const totpCode = z
  .string("must be a string")
  .max(20, { error: "must be six digits", abort: true })
  .transform((text) => text.replace(/\s/g, ""))
  .pipe(z.string().regex(/^\d{6}$/, "must be six digits"))
  .meta({ example: "048151" });

const backupCode = z
  .string("must be a string")
  .max(40, { error: "must be a code such as 3k7f-29qm-t7wx", abort: true })
  .transform(canonicalBackupCode)
  .pipe(z.string().regex(BACKUP_CODE, "must be a code such as 3k7f-29qm-t7wx"))
  .meta({ example: "3k7f-29qm-t7wx" });

const totpAnswer = z.strictObject({ method: z.literal("totp"), code: totpCode });
const backupAnswer = z.strictObject({ method: z.literal("backup_code"), code: backupCode });
const factorSchema = z.discriminatedUnion("method", [totpAnswer, backupAnswer]).meta({ id: "Factor" });

/** A code of the second factor, and of which. */
export type FactorAnswer = z.output<typeof factorSchema>;

/** What shows once more who is asking, for a change of how they sign in. */
export const proofShape = { password: passwordSchema.optional(), factor: factorSchema.optional() };
export const proofSchema = z.strictObject(proofShape).meta({ id: "Proof" });
export type Proof = z.output<typeof proofSchema>;
/** Of routes that ask once more who is there. */
export const PROOF_ERRORS: ErrorCode[] = [
  "invalid_credentials",
  "invalid_code",
  "forbidden",
  "too_many_requests",
];

export const confirmSchema = z.strictObject({ code: totpCode }).meta({ id: "Confirm" });

const challenge = z.string("must be a string").max(700, "is not a challenge of ours");
export const challengeSchema = z
  .discriminatedUnion("method", [totpAnswer.extend({ challenge }), backupAnswer.extend({ challenge })])
  .meta({ id: "Challenge" });
export type ChallengeAnswer = z.output<typeof challengeSchema>;

export const enrolledAnswer = dataOf(
  z.object({
    /** Base 32, for typing. Shown once. */
    secret: z.string(),
    /** For a QR code. */
    uri: z.string().meta({ example: "otpauth://totp/Aizy:ann@example.com?issuer=Aizy&secret=…" }),
    /** Seconds in which the first code must come. */
    expiresIn: z.number().int(),
  }),
);

const backupCodes = z.object({ backupCodes: z.array(z.string()) });
/** The only answers that hold backup codes. */
export const backupCodesAnswer = dataOf(backupCodes);

const statusResponse = z
  .object({
    /** What answers a challenge now; none when no second factor is asked for. */
    methods: z.array(z.enum(SECOND_FACTORS)),
    totp: z.object({ confirmedAt: z.string(), lastUsedAt: z.string().nullable() }).nullable(),
    backupCodes: z.object({ left: z.number().int(), createdAt: z.string() }).nullable(),
  })
  .meta({ id: "Status" });
export type FactorStatus = z.infer<typeof statusResponse>;
export const statusAnswer = dataOf(statusResponse);

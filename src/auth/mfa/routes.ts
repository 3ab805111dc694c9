import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { originOf, signedInAnswer } from "../browser";
import type { AuthDeps } from "../deps";
import { tokensResponse } from "../schema";
import { answerChallenge } from "./answer-challenge";
import { disable } from "./disable";
import { confirm, enrol } from "./enrol";
import { renewBackupCodes } from "./renew-backup-codes";
import {
  backupCodesAnswer,
  challengeSchema,
  confirmSchema,
  enrolledAnswer,
  PROOF_ERRORS,
  proofSchema,
  statusAnswer,
} from "./schema";
import { factorStatus } from "./status";

const tag = "Second factor";

/** /auth/mfa */
export const mfaRoutes = (deps: AuthDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "readSecondFactor",
        summary: "See your second factor",
        tag,
        caller: "person",
        enrolling: true,
        success: { 200: statusAnswer },
      }),
      async (c) => c.json({ data: await factorStatus(deps, c.get("actor").userId) }, 200),
    )
    .post(
      "/enrol",
      endpoint(deps, {
        id: "enrolSecondFactor",
        summary: "Get a secret for an authenticator app; it is shown once",
        description: "It counts once its first code came to /auth/mfa/confirm.",
        tag,
        caller: "person",
        enrolling: true,
        body: proofSchema,
        success: { 201: enrolledAnswer },
        errors: PROOF_ERRORS,
      }),
      async (c) => {
        const data = await enrol(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 201);
      },
    )
    .post(
      "/confirm",
      endpoint(deps, {
        id: "confirmSecondFactor",
        summary: "Make the app count with its first code, and get ten backup codes",
        tag,
        caller: "person",
        enrolling: true,
        body: confirmSchema,
        success: { 200: backupCodesAnswer },
        errors: ["invalid_code", "too_many_requests"],
      }),
      async (c) => {
        const data = await confirm(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    )
    .post(
      "/challenge",
      endpoint(deps, {
        id: "answerSecondFactorChallenge",
        summary: "Complete a sign-in with the second factor",
        description: "Takes the challenge that /auth/login answered with 202.",
        tag,
        body: challengeSchema,
        success: { 200: tokensResponse },
        errors: ["unauthenticated", "invalid_code", "too_many_requests", "origin_not_allowed"],
      }),
      async (c) => {
        const signedIn = await answerChallenge(deps, c.req.valid("json"), originOf(deps, c));
        return c.json({ data: signedInAnswer(deps, c, signedIn) }, 200);
      },
    )
    .post(
      "/disable",
      endpoint(deps, {
        id: "disableSecondFactor",
        summary: "Take your second factor away",
        tag,
        caller: "person",
        body: proofSchema,
        success: { 204: null },
        errors: [...PROOF_ERRORS, "conflict"],
      }),
      async (c) => {
        await disable(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .post(
      "/backup-codes",
      endpoint(deps, {
        id: "renewBackupCodes",
        summary: "Get ten new backup codes in place of all earlier ones; they are shown once",
        tag,
        caller: "person",
        body: proofSchema,
        success: { 200: backupCodesAnswer },
        errors: [...PROOF_ERRORS, "conflict"],
      }),
      async (c) => {
        const data = await renewBackupCodes(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    );

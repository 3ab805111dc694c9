import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import { originOf, signedInAnswer } from "../browser";
import { requirePerson } from "../guard";
import { tokensResponse } from "../schema";
import {
  backupCodesAnswer,
  challengeSchema,
  confirmSchema,
  enrolledAnswer,
  PROOF_ERRORS,
  proofSchema,
  statusAnswer,
} from "./schema";
import { answerChallenge, confirm, disable, enrol, factorStatus, renewBackupCodes } from "./service";

const tag = "Second factor";

/** /auth/mfa */
export const mfaRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "See your second factor",
        tag,
        response: statusAnswer,
        secured: true,
        errors: ["forbidden"],
      }),
      requirePerson(deps, { enrolling: true }),
      async (c) => c.json({ data: await factorStatus(deps, c.get("actor").userId) }, 200),
    )
    .post(
      "/enrol",
      describe({
        summary: "Get a secret for an authenticator app; it is shown once",
        description: "It counts once its first code came to /auth/mfa/confirm.",
        tag,
        response: enrolledAnswer,
        status: 201,
        errors: PROOF_ERRORS,
        secured: true,
      }),
      requirePerson(deps, { enrolling: true }),
      input("json", proofSchema),
      async (c) => {
        const data = await enrol(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 201);
      },
    )
    .post(
      "/confirm",
      describe({
        summary: "Make the app count with its first code, and get ten backup codes",
        tag,
        response: backupCodesAnswer,
        errors: ["invalid_code", "forbidden", "too_many_requests"],
        secured: true,
      }),
      requirePerson(deps, { enrolling: true }),
      input("json", confirmSchema),
      async (c) => {
        const data = await confirm(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    )
    .post(
      "/challenge",
      describe({
        summary: "Complete a sign-in with the second factor",
        description: "Takes the challenge that /auth/login answered with 202.",
        tag,
        response: tokensResponse,
        errors: ["unauthenticated", "invalid_code", "too_many_requests", "origin_not_allowed"],
      }),
      input("json", challengeSchema),
      async (c) => {
        const signedIn = await answerChallenge(deps, c.req.valid("json"), originOf(deps, c));
        return c.json({ data: signedInAnswer(deps, c, signedIn) }, 200);
      },
    )
    .post(
      "/disable",
      describe({
        summary: "Take your second factor away",
        tag,
        status: 204,
        errors: [...PROOF_ERRORS, "conflict"],
        secured: true,
      }),
      requirePerson(deps),
      input("json", proofSchema),
      async (c) => {
        await disable(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .post(
      "/backup-codes",
      describe({
        summary: "Get ten new backup codes in place of all earlier ones; they are shown once",
        tag,
        response: backupCodesAnswer,
        errors: [...PROOF_ERRORS, "conflict"],
        secured: true,
      }),
      requirePerson(deps),
      input("json", proofSchema),
      async (c) => {
        const data = await renewBackupCodes(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        c.header("Cache-Control", "no-store");
        return c.json({ data }, 200);
      },
    );

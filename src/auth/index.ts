/** The face of sign-in. */

export { keepHashKeys } from "./api-keys/authenticate";
export { endKeysAndTell, newKeysEnd } from "./api-keys/end";
export { allApiKeys } from "./api-keys/list";
export { clearSignIn, originOf } from "./browser";
export { signedInDevice } from "./check-password";
export { countRequest } from "./count-request";
export type { AuthDeps } from "./deps";
export { ADMINISTRATOR, newNotice } from "./jobs";
export { removeLostFactor } from "./mfa/disable";
export { reauthenticate } from "./mfa/reauthenticate";
export { type Proof, proofShape } from "./mfa/schema";
export { reencryptAll } from "./mfa/secrets";
export { factorStatus } from "./mfa/status";
export { languageIn, type Origin } from "./origin";
export { listPasskeys } from "./passkeys/manage";
export { refuseObviousPassword } from "./register";
export { ATTEMPT_TTL, KEEP_ENDED, KEEP_EXPIRED_KEYS, KEEP_UNVERIFIED, RESET_TTL } from "./rules";
export {
  type EndSessionsOptions,
  emailSchema,
  endedResponse,
  endSessionsSchema,
  nameSchema,
  type SessionsEnded,
  userResponse,
} from "./schema";

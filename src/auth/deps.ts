import type { UserDeps } from "../users";
import type { ApiKeyStore } from "./api-keys/store";
import type { CodeStore } from "./codes.store";
import type { DeviceStore } from "./devices/store";
import type { MfaStore } from "./mfa/store";
import type { Otp } from "./otp";
import type { PasskeyStore } from "./passkeys/store";
import type { Passwords } from "./passwords";
import type { SessionStore } from "./sessions.store";
import type { Throttle } from "./throttle";
import type { Tokens } from "./tokens";
import type { Vault } from "./vault";

/** What sign-in asks for. */
export interface AuthDeps extends UserDeps {
  codes: CodeStore;
  sessions: SessionStore;
  apiKeys: ApiKeyStore;
  devices: DeviceStore;
  mfa: MfaStore;
  passkeys: PasskeyStore;
  passwords: Passwords;
  otp: Otp;
  tokens: Tokens;
  vault: Vault;
  throttle: Throttle;
}

import type { BaseDeps } from "../deps";
import type { AuditStore } from "./store";

/** What the audit log asks for. */
export interface AuditDeps extends BaseDeps {
  /** Who did what to whom; recorded in the transaction of the change. */
  audit: AuditStore;
}

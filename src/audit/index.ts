/** The face of the audit log. */

export type { AuditAction } from "./actions";
export type { AuditDeps } from "./deps";
export {
  ANONYMOUS,
  type AuditActor,
  type AuditEntry,
  auditActor,
  newAuditEntry,
  person,
  SYSTEM,
} from "./entry";
export { auditJobsOf } from "./jobs";
export { type Manager, managedEntry, managerOf } from "./manager";
export { type Beside, type EntryOfChange, mutate } from "./mutate";

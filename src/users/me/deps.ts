import type { AnalyticsDeps } from "../../analytics";
import type { AuthDeps } from "../../auth";
import type { EmailChangeStore } from "./email-changes.store";
import type { ExportStore } from "./exports.store";

/** What a person's own account asks for: it spans both databases. */
export interface AccountDeps extends AuthDeps, AnalyticsDeps {
  emailChanges: EmailChangeStore;
  exports: ExportStore;
}

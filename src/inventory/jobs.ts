import { textIn } from "../jobs/payload";
import { type JobHandler, needing } from "../jobs/runner";
import { lowStockMail } from "../mail";
import { readerOf, type UserDeps, wantsNotice } from "../users";
import type { InventoryDeps } from "./deps";
import { sellable } from "./levels";

type LowStockDeps = InventoryDeps & UserDeps;

/** Most people who hear of one low level. */
const RECIPIENTS = 50;

/** Tells those who may change stock that a level is low, unless it has recovered or is no longer sold. */
const tellLowStock =
  (deps: LowStockDeps): JobHandler =>
  async ({ job, saveProgress }) => {
    const level = await deps.inventory.findLevel(textIn(job.payload, "levelId"));
    if (!level?.low || level.safetyThreshold === null) return;
    if ((await sellable(deps, [level], await deps.inventory.activeLocationIds())).length === 0) return;
    const location = await deps.inventory.findLocation(level.locationId);
    const people = await deps.users.peopleWith("inventory:write", RECIPIENTS);
    // A repeated try goes on behind the last one who was told.
    const told = typeof job.progress === "string" ? people.findIndex(({ id }) => id === job.progress) + 1 : 0;
    for (const { id, email, name } of people.slice(told)) {
      if (!(await wantsNotice(deps, id, "lowStock"))) continue;
      const content = await lowStockMail(await readerOf(deps, id), name, {
        sku: level.sku,
        location: location?.name ?? level.locationId,
        available: level.available,
        threshold: level.safetyThreshold,
      });
      await deps.mail.send({ to: email, ...content });
      await saveProgress(id);
    }
  };

/** What stock leaves for later. */
export const stockJobs = (deps: LowStockDeps): Record<string, JobHandler> => ({
  "stock.low": needing(deps.mailServer, tellLowStock(deps)),
});

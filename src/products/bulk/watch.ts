import { pause } from "../../lib/clock";
import type { ProductDeps } from "../deps";
import type { BulkDocument } from "./model";
import { readBulk } from "./read-job";

/** One message of a job's event stream; null is a heartbeat. */
export type BulkEvent = { event: "progress" | "end"; data: string } | null;

/**
 * How a job goes, until it ends or `signal` does: a message for each change, and a heartbeat when there was none
 * for a while.
 * @param pace milliseconds between two looks, and of silence before a heartbeat
 * @throws AppError not_found
 */
export async function* watchBulk(
  deps: ProductDeps,
  kind: BulkDocument["kind"],
  id: string,
  signal: AbortSignal,
  pace = { every: 500, heartbeat: 15_000 },
): AsyncGenerator<BulkEvent> {
  let before = "";
  let spoken = performance.now();
  while (!signal.aborted) {
    const bulk = await readBulk(deps, kind, id);
    const data = JSON.stringify(bulk);
    if (bulk.status === "done" || bulk.status === "failed") {
      yield { event: "end", data };
      return;
    }
    if (data !== before) {
      before = data;
      spoken = performance.now();
      yield { event: "progress", data };
    } else if (performance.now() - spoken >= pace.heartbeat) {
      spoken = performance.now();
      yield null;
    }
    await pause(pace.every, signal);
  }
}

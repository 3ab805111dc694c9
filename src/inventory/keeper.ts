import { SECOND } from "../lib/clock";
import { jitter } from "../lib/random";
import type { InventoryDeps } from "./deps";
import { expireDue } from "./expiry";
import { settleSignals } from "./in-stock";

/** What a process does by itself for stock: gives back what expired, and keeps `inStock` of products right. */
export interface StockKeeper {
  start(): void;
  stop(): Promise<void>;
  /** One round of both, now. */
  round(): Promise<void>;
}

/** How often the databases are asked, in milliseconds: half of what `inStock` may be old. */
const EVERY = SECOND / 2;

/** Any number of processes may keep the same stock: each step is right by itself and happens once. */
export function createStockKeeper(deps: InventoryDeps): StockKeeper {
  const stopping = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: Promise<void> | undefined;

  const count = deps.metrics.counter(
    "aizy_stock_sweeps_total",
    "Rounds of stock keeping by outcome",
    "outcome",
    ["done", "failed"],
  );
  const round = async () => {
    // Side by side: a long sweep must not make `inStock` old.
    const done = await Promise.allSettled([expireDue(deps), settleSignals(deps)]);
    count(done.some(({ status }) => status === "rejected") ? "failed" : "done");
    for (const result of done) {
      if (result.status === "rejected") {
        deps.log.warn({ err: result.reason }, "keeping stock failed; trying again");
      }
    }
  };

  const tick = () => {
    running = round().finally(() => {
      // Spread over time, so that many processes do not ask at the same moment.
      if (!stopping.signal.aborted) timer = setTimeout(tick, jitter(0.8 * EVERY, EVERY));
    });
  };

  return {
    start: tick,
    round,
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await running;
    },
  };
}

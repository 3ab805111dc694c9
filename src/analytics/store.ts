import type { Mongo } from "../db/mongo";
import { createDeviceStore } from "./devices.store";
import { createEventStore } from "./events.store";
import { createIntakeStore } from "./intake.store";
import { createOrderStore } from "./orders.store";
import { createPopularityStore } from "./popularity.store";
import { createQueueStore } from "./queue.store";
import { createRollupStore } from "./rollups.store";
import { createSearchStore } from "./searches.store";
import { createSessionStore } from "./sessions.store";
import { createStateStore } from "./state.store";
import { createWriteKeyStore } from "./write-keys.store";

/** Everything that this folder keeps in MongoDB, by what it is. */
export const createAnalyticsStore = (mongo: Mongo) => ({
  events: createEventStore(mongo),
  queue: createQueueStore(mongo),
  devices: createDeviceStore(mongo),
  searches: createSearchStore(mongo),
  orders: createOrderStore(mongo),
  sessions: createSessionStore(mongo),
  rollups: createRollupStore(mongo),
  state: createStateStore(mongo),
  intake: createIntakeStore(mongo),
  writeKeys: createWriteKeyStore(mongo),
  popularity: createPopularityStore(mongo),
});

export type AnalyticsStore = ReturnType<typeof createAnalyticsStore>;

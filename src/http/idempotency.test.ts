import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { eventually } from "../../test/processes";
import { startProxy } from "../../test/proxy";
import { createApp } from "../app";
import { silentLogger } from "../telemetry/log";
import { createDeps } from "../wire";

const t = useTestApp();

test("a key whose request met a database that was away is free once it is back, before its lease ends", async () => {
  const { config } = t.deps;
  const proxy = await startProxy(config.mongodbUri);
  // With the clock of the test, which stands still: no lease ends.
  const deps = createDeps({ ...config, mongodbUri: proxy.url(config.mongodbUri) }, silentLogger(), {
    clock: t.clock,
  });
  try {
    await deps.mongo.connection.asPromise();
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const name = `away-${deps.random.id()}`;
    const ask = async () =>
      createApp(deps).request("/api/products", {
        method: "POST",
        headers: {
          authorization: `Bearer ${accessToken}`,
          "content-type": "application/json",
          "idempotency-key": name,
        },
        body: JSON.stringify({ name, price: 100 }),
      });
    // The key is taken by then.
    const sent = proxy.sent((bytes) => bytes.includes(name) && bytes.includes("slug"));
    const first = ask();
    await sent;
    await proxy.stop();
    expect((await first).status).toBe(503);
    expect((await ask()).status).toBe(503);
    await proxy.start();
    await eventually(async () => (await ask()).status === 201, "the change");
    expect(await t.deps.mongo.connection.collection("products").countDocuments({ name })).toBe(1);
  } finally {
    await deps.close();
    await proxy.close();
  }
});

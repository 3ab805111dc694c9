import { expect, test } from "bun:test";
import { MongoClient } from "mongodb";
import { withOption } from "./addresses";
import { startProxy } from "./proxy";

const uri = process.env.MONGODB_URI ?? "";

test("an address with replicaSet= leads through the proxy and nowhere else", async () => {
  const direct = await MongoClient.connect(uri);
  const { setName } = await direct.db().admin().command({ hello: 1 });
  await direct.close();
  // As continuous integration gives it: the driver would go on to the member by its own name.
  const named = withOption(withOption(uri, "directConnection", "false"), "replicaSet", setName);
  const proxy = await startProxy(named);
  const through = new MongoClient(proxy.url(named), { serverSelectionTimeoutMS: 500 });
  try {
    const ask = () => through.db().collection("nothing").findOne();
    expect(await ask()).toBeNull();
    await proxy.stop();
    await expect(ask()).rejects.toThrow();
  } finally {
    await through.close();
    await proxy.close();
  }
});

test("a proxy stands before one server, so it refuses an address of several", async () => {
  await expect(startProxy("mongodb://127.0.0.1:1,127.0.0.1:2/shop?replicaSet=rs0")).rejects.toThrow(
    "several servers",
  );
});

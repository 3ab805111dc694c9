import { afterAll, beforeAll, expect, test } from "bun:test";
import { buildIndexes, unusedIndexes } from "./indexes";
import { MigrationError } from "./migrations";
import { connectMongo, type Mongo } from "./mongo";

const uri = new URL(process.env.MONGODB_URI ?? "");
uri.pathname = `${uri.pathname}_indexes`;
let mongo: Mongo;
beforeAll(async () => {
  mongo = connectMongo(uri.href, 2);
  await mongo.connection.asPromise();
  await buildIndexes(mongo);
});
afterAll(async () => {
  await mongo.connection.dropDatabase();
  await mongo.close();
});

test("indexes of other versions stay until they are told to go", async () => {
  const products = mongo.connection.collection("products");
  const before = (await products.indexes()).map(({ name }) => name);
  expect(await unusedIndexes(mongo)).toEqual([]);
  await products.createIndex({ ofAnEarlierVersion: 1 });
  await products.dropIndex(before.at(-1) ?? "");
  await buildIndexes(mongo);
  expect((await products.indexes()).map(({ name }) => name).sort()).toEqual(
    [...before, "ofAnEarlierVersion_1"].sort(),
  );
  expect(await unusedIndexes(mongo)).toEqual(["products.ofAnEarlierVersion_1"]);
  await buildIndexes(mongo, true);
  expect((await products.indexes()).map(({ name }) => name).sort()).toEqual([...before].sort());
  expect(await unusedIndexes(mongo)).toEqual([]);
});

test("an index that is defined otherwise is refused by name, and made anew when that is asked for", async () => {
  const products = mongo.connection.collection("products");
  const chosen = (await products.indexes()).find((index) => index.unique === true);
  const { name = "", key } = chosen ?? { key: {} };
  await products.dropIndex(name);
  await products.createIndex(key as never, { name });
  const refused = await buildIndexes(mongo).catch((error: Error) => error);
  expect(refused).toBeInstanceOf(MigrationError);
  expect((refused as Error).message).toContain(
    "Collection products has an index that this version defines otherwise",
  );
  expect(await unusedIndexes(mongo)).toEqual([`products.${name}`]);
  await buildIndexes(mongo, true);
  expect((await products.indexes()).find((index) => index.name === name)).toMatchObject({ unique: true });
});

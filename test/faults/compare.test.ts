/** The ledger of the fault table finds what is missing and what is there twice. */
import { expect, test } from "bun:test";
import { useTestApp } from "../app";
import { compare } from "./compare";
import { type Acknowledged, nothingAcknowledged } from "./load";

const t = useTestApp();

const mail = (to: string) => ({ from: "", to: [to], source: "" });
const found = (log: Acknowledged, mails = [mail("nobody@example.com")]) =>
  compare(t.deps, "http://127.0.0.1:1", log, { mails, exportsBefore: 0 });

test("of nothing nothing is missing", async () => {
  expect(await found(nothingAcknowledged())).toEqual({ lost: [], doubled: [], mailsDoubled: [] });
});

test("each kind of what is gone is lost, also the name of a user who is gone", async () => {
  const id = t.deps.random.id();
  const { lost, doubled } = await found({
    ...nothingAcknowledged(),
    sessions: new Set([id]),
    names: new Map([["gone@example.com", 3]]),
    products: new Map([["Gone", id]]),
    received: new Map([["gone", { acknowledged: 3, asked: 6 }]]),
    reservations: new Map([["gone", { id, committed: true }]]),
    events: new Set([id]),
    exports: { ids: new Set(["an-export"]), asked: 1 },
    imports: new Map([["Imported", "an-import"]]),
    mails: new Map([["gone@example.com", id]]),
  });
  expect(lost).toEqual([
    `session ${id}`,
    "name 3 of gone@example.com",
    "product Gone",
    "reservation gone",
    "3 units of gone",
    "1 events",
    "the export an-export: no job",
    "the import an-import: no job",
    "the imported product Imported: ",
    "the mail to gone@example.com: its job is gone",
  ]);
  expect(doubled).toEqual([]);
});

test("what was asked for once and is there twice is doubled: products, pictures, exports, imports, mails", async () => {
  const products = t.deps.mongo.connection.collection<{ _id: string }>("products");
  const document = (name: string, images: object[] = []) => {
    const id = t.deps.random.id();
    return { _id: id, name, images, slug: id, slugKey: id, skuKeys: [id] };
  };
  const [one, two] = [document("Twice"), document("Twice")];
  const pictured = document("Pictured", [{ id: "a" }, { id: "b" }]);
  await products.insertMany([one, two, pictured, document("Imported"), document("Imported")]);
  await t.deps.mongo.connection
    .collection<{ _id: string }>("bulkJobs")
    .insertMany(["an-export", "another"].map((_id) => ({ _id, kind: "export", format: "csv" })));
  await t.deps.mongo.connection
    .collection<{ _id: string }>("bulkJobs")
    .insertOne({ _id: "an-import", kind: "import" } as never);
  await t.deps.mongo.connection
    .collection<{ _id: string }>("jobs")
    .insertOne({ _id: "an-import", status: "done", runAt: new Date() } as never);
  const log = {
    ...nothingAcknowledged(),
    products: new Map([
      ["Twice", one._id],
      ["Pictured", pictured._id],
    ]),
    exports: { ids: new Set<string>(), asked: 1 },
    imports: new Map([["Imported", "an-import"]]),
    mails: new Map([["twice@example.com", t.deps.random.id()]]),
  };
  expect(await found(log, [mail("twice@example.com"), mail("twice@example.com")])).toEqual({
    lost: [],
    doubled: ["product Twice: 2", "picture of Pictured: 2", "1 exports", "the imported product Imported: 2"],
    mailsDoubled: ["the mail to twice@example.com: 2"],
  });
});

import { expect, test } from "bun:test";
import { connectMongo } from "./mongo";
import { checkMySql } from "./prisma";
import { checkMongo, lifetimeAdvice, mongoProblem, mysqlProblem } from "./requirements";

test.each(["8.4.0", "8.4.7-0ubuntu0.24.04.1", "9.0.1", "10.1.0"])("MySQL %s is enough", (version) => {
  expect(mysqlProblem(version)).toBeUndefined();
});

test.each([
  ["5.7.44", "8.4 or newer"],
  ["8.0.39", "8.4 or newer"],
  ["10.11.6-MariaDB-0+deb12u1", "is MariaDB"],
  ["5.5.5-10.4.34-MariaDB", "is MariaDB"],
])("MySQL %s is refused", (version, why) => {
  expect(mysqlProblem(version)).toContain(why);
});

test("MongoDB: version 7 or newer, as a replica set or behind a router", () => {
  expect(mongoProblem({ setName: "rs0" }, "7.0.0")).toBeUndefined();
  expect(mongoProblem({ setName: "rs0" }, "8.0.4")).toBeUndefined();
  expect(mongoProblem({ setName: "rs0" }, "10.0.0")).toBeUndefined();
  expect(mongoProblem({ msg: "isdbgrid" }, "8.0.4")).toBeUndefined();
  expect(mongoProblem({}, "8.0.4")).toContain("rs.initiate()");
  expect(mongoProblem({ setName: "rs0" }, "6.0.20")).toContain("MongoDB 7 or newer");
});

test("a long life of transactions is warned of, where it can be read", () => {
  expect(lifetimeAdvice(60)).toContain("60 s");
  expect(lifetimeAdvice(5)).toBeUndefined();
  expect(lifetimeAdvice(undefined)).toBeUndefined();
});

test("the databases of these tests are enough", async () => {
  await checkMySql(process.env.DATABASE_URL ?? "");
  const mongo = connectMongo(process.env.MONGODB_URI ?? "", 2);
  try {
    await mongo.connection.asPromise();
    await checkMongo(mongo.connection);
  } finally {
    await mongo.close();
  }
});

import { expect, test } from "bun:test";
import { databaseOf, hostsOf, withDatabase, withHost, withOption } from "./addresses";

const SET = "mongodb://ann:p%40ss@a:1,b:2,c:3/shop?replicaSet=rs0&authSource=admin";
const ONE = "mongodb://127.0.0.1:27017";
const MYSQL = "mysql://root:ci@127.0.0.1:3306/users?allowPublicKeyRetrieval=true";

test("an address of several hosts is read and given another database", () => {
  expect([databaseOf(SET), databaseOf(ONE), databaseOf(MYSQL)]).toEqual(["shop", "", "users"]);
  expect(hostsOf(SET)).toEqual(["a:1", "b:2", "c:3"]);
  expect(withDatabase(SET, "other")).toBe(
    "mongodb://ann:p%40ss@a:1,b:2,c:3/other?replicaSet=rs0&authSource=admin",
  );
  expect(withDatabase(ONE, "other")).toBe("mongodb://127.0.0.1:27017/other");
  expect(withDatabase(MYSQL, "other")).toBe(
    "mysql://root:ci@127.0.0.1:3306/other?allowPublicKeyRetrieval=true",
  );
});

test("an option is added to those that are there", () => {
  expect(withOption(ONE, "monitorCommands", "true")).toBe("mongodb://127.0.0.1:27017/?monitorCommands=true");
  expect(withOption(SET, "appName", "x")).toBe(`${SET}&appName=x`);
});

test("at another host nothing of a replica set is left, so that the driver stays there", () => {
  expect(withHost(SET, "127.0.0.1:9")).toBe(
    "mongodb://ann:p%40ss@127.0.0.1:9/shop?authSource=admin&directConnection=true",
  );
  expect(withHost("mongodb://h/x?REPLICASET=rs0&directconnection=false", "127.0.0.1:9")).toBe(
    "mongodb://127.0.0.1:9/x?directConnection=true",
  );
  expect(withHost(MYSQL, "127.0.0.1:9")).toBe(
    "mysql://root:ci@127.0.0.1:9/users?allowPublicKeyRetrieval=true",
  );
  expect(withHost("smtp://127.0.0.1:25", "127.0.0.1:9")).toBe("smtp://127.0.0.1:9/");
});

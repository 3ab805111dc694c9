import { expect, test } from "bun:test";
import { createLogger } from "./log";
import { inScope, type Scope } from "./scope";

test("each line says the request, the job and the caller of the scope that it is written in, as they are then", async () => {
  let text = "";
  const to = {
    write(line: string) {
      text += line;
    },
  };
  const log = await createLogger({ environment: "production", logLevel: "info" }, to);
  const write = (scope: Scope | undefined) => {
    text = "";
    inScope(scope, () => log.info("line"));
    const { level: _, time: __, msg: ___, ...fields } = JSON.parse(text);
    return fields;
  };
  expect(write(undefined)).toEqual({});
  expect(write({ requestId: null, job: "j" })).toEqual({ job: "j" });
  expect(write({ requestId: "r", job: "j" })).toEqual({ requestId: "r", job: "j" });
  let userId: string | undefined;
  const request: Scope = {
    requestId: "r",
    calledBy: () => ({ from: "private", ...(userId === undefined ? {} : { userId }) }),
  };
  expect(write(request)).toEqual({ requestId: "r", from: "private" });
  userId = "u";
  expect(write(request)).toEqual({ requestId: "r", from: "private", userId: "u" });
});

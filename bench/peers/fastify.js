/** Fastify with the libraries of the replaced stack. */
import cors from "@fastify/cors";
import Fastify from "fastify";
import {
  authenticate,
  connect,
  createProduct,
  listProducts,
  readMe,
  readProduct,
  signIn,
} from "./libraries.js";

await connect();
const app = Fastify();
await app.register(cors, { origin: "http://localhost:3000", credentials: true });
app.decorateRequest("caller", null);

const guarded = (permission) => async (request, reply) => {
  const caller = await authenticate(request.headers.authorization);
  if (!caller) return reply.code(401).send({ error: "unauthenticated" });
  if (permission && !caller.permissions.includes(permission))
    return reply.code(403).send({ error: "forbidden" });
  request.caller = caller;
};

app.get("/health/live", async () => ({ data: { status: "up" } }));
app.get("/api/users/me", { preHandler: guarded() }, async (request) => ({ data: readMe(request.caller) }));
app.get("/api/products", async () => ({ data: await listProducts() }));
app.get("/api/products/:id", async (request, reply) => {
  const product = await readProduct(request.params.id);
  return product ? { data: product } : reply.code(404).send({ error: "not_found" });
});
app.post("/api/products", { preHandler: guarded("products:write") }, async (request, reply) => {
  reply.code(201);
  return { data: await createProduct(request.body) };
});
app.post("/auth/login", async (request, reply) => {
  const accessToken = await signIn(request.body);
  return accessToken ? { data: { accessToken } } : reply.code(401).send({ error: "invalid_credentials" });
});
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });

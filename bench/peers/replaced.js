/** The replaced stack: Express, cors, jsonwebtoken, Prisma's relations, Mongoose's documents, argon2, multer. */
import cors from "cors";
import express from "express";
import multer from "multer";
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
const app = express();
const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: 10_000_000 } });
app.use(cors({ origin: "http://localhost:3000", credentials: true }));
app.use(express.json());

const guarded = (permission) => async (req, res, next) => {
  const caller = await authenticate(req.headers.authorization);
  if (!caller) return res.status(401).json({ error: "unauthenticated" });
  if (permission && !caller.permissions.includes(permission))
    return res.status(403).json({ error: "forbidden" });
  req.caller = caller;
  next();
};

app.get("/health/live", (_req, res) => res.json({ data: { status: "up" } }));
app.get("/api/users/me", guarded(), (req, res) => res.json({ data: readMe(req.caller) }));
app.get("/api/products", async (_req, res) => res.json({ data: await listProducts() }));
app.get("/api/products/:id", async (req, res) => {
  const product = await readProduct(req.params.id);
  if (!product) return res.status(404).json({ error: "not_found" });
  res.json({ data: product });
});
app.post("/api/products", guarded("products:write"), async (req, res) =>
  res.status(201).json({ data: await createProduct(req.body) }),
);
app.post("/api/products/:id/images", guarded("products:write"), upload.single("file"), (req, res) =>
  res.status(201).json({ data: { size: req.file?.size ?? 0 } }),
);
app.post("/auth/login", async (req, res) => {
  const accessToken = await signIn(req.body);
  if (!accessToken) return res.status(401).json({ error: "invalid_credentials" });
  res.json({ data: { accessToken } });
});
app.listen(Number(process.env.PORT), "127.0.0.1");

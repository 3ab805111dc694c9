/** As much of S3 as Bun's client asks for, in memory; it looks at no signature. */
export function startObjects(): { url: string; close(): Promise<void> } {
  const objects = new Map<string, Uint8Array>();
  const uploads = new Map<string, Map<number, Uint8Array>>();
  const xml = (text: string) =>
    new Response(`<?xml version="1.0"?>${text}`, { headers: { "content-type": "application/xml" } });
  const put = async (request: Request, key: string, upload: string | null, part: number) => {
    const bytes = await request.bytes();
    // What broke off was not kept.
    if (bytes.length !== Number(request.headers.get("content-length")))
      return new Response(null, { status: 400 });
    if (upload === null) objects.set(key, bytes);
    else uploads.get(upload)?.set(part, bytes);
    return new Response(null, { headers: { etag: '"x"' } });
  };
  const post = (key: string, upload: string | null) => {
    if (upload === null) {
      const id = crypto.randomUUID();
      uploads.set(id, new Map());
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
    }
    const parts = [...(uploads.get(upload) ?? [])].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
    objects.set(key, new Uint8Array(Buffer.concat(parts)));
    uploads.delete(upload);
    return xml("<CompleteMultipartUploadResult/>");
  };
  const list = (prefix: string) => {
    const found = [...objects.keys()].filter((name) => name.startsWith(prefix));
    const contents = found.map((name) => `<Contents><Key>${name}</Key></Contents>`).join("");
    return xml(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents}</ListBucketResult>`);
  };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const key = decodeURIComponent(pathname.replace(/^\/bucket\/?/, ""));
      const upload = searchParams.get("uploadId");
      if (request.method === "PUT") return put(request, key, upload, Number(searchParams.get("partNumber")));
      if (request.method === "POST") return post(key, upload);
      if (request.method === "DELETE") {
        if (upload === null) objects.delete(key);
        else uploads.delete(upload);
        return new Response(null, { status: 204 });
      }
      if (key === "") return list(searchParams.get("prefix") ?? "");
      const object = objects.get(key);
      if (!object) return new Response("<Error><Code>NoSuchKey</Code></Error>", { status: 404 });
      return new Response(request.method === "HEAD" ? null : new Uint8Array(object), {
        headers: { "content-length": String(object.length), etag: '"x"' },
      });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, close: () => server.stop(true) };
}

/** A request that is ready to be sent, and may be sent again. */
export interface Outgoing {
  method: string;
  url: string;
  headers: Headers;
  body: BodyInit | undefined;
  signal: AbortSignal | undefined;
  onProgress?: ((progress: { loaded: number; total: number }) => void) | undefined;
}

/** Sends with the browser's older way, which alone tells how much has been sent. */
export const upload = ({ method, url, headers, body, signal, onProgress }: Outgoing): Promise<Response> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => {
      request.abort();
      reject(signal?.reason);
    };
    request.open(method, url);
    request.withCredentials = true;
    request.responseType = "arraybuffer";
    for (const [name, value] of headers) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.({ loaded, total });
    request.onerror = () => reject(new TypeError("the upload failed"));
    request.onload = () => {
      const lines = request.getAllResponseHeaders().trim().split("\r\n");
      const given = new Headers(lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]));
      const empty = request.status === 204 || request.status === 304;
      resolve(new Response(empty ? null : request.response, { status: request.status, headers: given }));
    };
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    signal?.addEventListener("abort", abort, { once: true });
    request.send(body as XMLHttpRequestBodyInit);
  });

// The token that the first URL carries. In: that URL. Out: the token, and the URL without it for the address bar.

export interface Taken {
  token?: string;
  /** Path, query and hash to show instead; absent when nothing was taken. */
  clean?: string;
}

export function takeToken(href: string): Taken {
  const url = new URL(href);
  const fromQuery = url.searchParams.get("token");
  const fromHash = /(?:^#|[?&])token=([^&]*)/.exec(url.hash)?.[1];
  if (fromQuery === null && fromHash === undefined) return {};
  url.searchParams.delete("token");
  const hash = url.hash
    .replace(/^#token=[^&]*&?/, "#")
    .replace(/([?&])token=[^&]*(&|$)/, (_, before: string, after: string) => (after ? before : ""));
  url.hash = hash === "#" ? "" : hash;
  return { token: decode(fromQuery ?? fromHash ?? ""), clean: url.pathname + url.search + url.hash };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text).trim();
  } catch {
    return text.trim();
  }
}

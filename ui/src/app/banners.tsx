// What holds for all pages and is told above them: the server is away, text waits to be saved, notices of the server.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { UI_ICONS } from "../graph/icons";
import { age } from "../model/format";
import { misread } from "../model/graphState";
import { clean, sentence } from "../model/text";
import { Icon, IconButton } from "../ui/widgets";
import { drafts, keepDraft } from "./drafts";
import { away, ended } from "./live";
import { formatRoute, route } from "./route";
import { graph, graphFeed, statusFeed } from "./store";

export function Banners() {
  const lost = away.value;
  const { page, query } = route.value;
  const notices = [
    ...(statusFeed.state.value.data?.notices ?? []),
    ...(graph.value?.notices ?? []),
    ...(page === "graph" ? misread(query) : []),
  ];
  const closed = useSignal<string[]>([]);
  const shown = [...new Map(notices.map((n) => [kindOf(n), n]))]
    .filter(([kind]) => !closed.value.includes(kind))
    .slice(0, 5);
  return (
    <div class="banners">
      {lost && <AwayBanner />}
      {ended.value !== undefined && (
        <div class="banner banner-bad" role="alert">
          <Icon path={UI_ICONS.warning} size={16} />
          <span class="grow">{sentence(clean(ended.value, 400))}</span>
        </div>
      )}
      <DraftBanners />
      {shown.map(([kind, n]) => (
        <div class="banner" role="status" key={kind}>
          <Icon path={UI_ICONS.info} size={16} />
          <span class="grow">{clean(n, 400)}</span>
          <IconButton
            icon={UI_ICONS.close}
            label="Close this notice"
            onClick={() => {
              closed.value = [...closed.value.slice(-50), kind];
            }}
          />
        </div>
      ))}
    </div>
  );
}

/** A notice that counts on is the same one: once closed it stays so. */
const kindOf = (notice: string) => notice.replace(/(?<=^|\s)\d+(?=\s|$)/g, "0");

/** Text that waits elsewhere to be saved. */
function DraftBanners() {
  const here = formatRoute(route.value.page, route.value.path);
  const waiting = [...drafts.value].filter(([hash]) => hash !== here);
  return (
    <>
      {waiting.map(([hash, { title }]) => (
        <div class="banner" role="status" key={hash}>
          <Icon path={UI_ICONS.info} size={16} />
          <span class="grow">
            What you wrote in <a href={hash}>{clean(title, 200)}</a> is not saved.
          </span>
          <button type="button" class="button" onClick={() => keepDraft(hash, undefined)}>
            Drop it
          </button>
        </div>
      ))}
    </>
  );
}

function AwayBanner() {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }, [now]);
  const lost = away.value;
  if (!lost) return null;
  const seen = graphFeed.state.value.at;
  const wait = lost.retryAt ? Math.max(0, Math.ceil((lost.retryAt - now.value) / 1000)) : 0;
  return (
    <div class="banner banner-bad">
      <Icon path={UI_ICONS.warning} size={16} />
      <span class="grow">
        <span role="alert">
          {lost.message === "the server does not answer"
            ? "The server does not answer."
            : `The server is in trouble: ${clean(lost.message, 200)}.`}
        </span>{" "}
        {/* Nobody wants each second read aloud. */}
        <span aria-hidden="true">
          {seen > 0 && `What is shown is ${age(now.value - seen)} old.`}{" "}
          {wait > 0 ? `Trying again in ${wait} s.` : "Trying again…"}
        </span>
      </span>
      <button type="button" class="button" onClick={lost.retry}>
        Try now
      </button>
    </div>
  );
}

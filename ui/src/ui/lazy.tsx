// Loads a part of the page when it is first shown. In: an import. Out: a component that says so while it waits.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Loading } from "./widgets";

export function lazy<P extends object>(
  what: string,
  load: () => Promise<{ default: ComponentType<P> }>,
): ComponentType<P> {
  let loaded: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [, again] = useState(0);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (loaded) return;
      let here = true;
      load().then(
        (m) => {
          loaded = m.default;
          if (here) again((n) => n + 1);
        },
        () => here && setFailed(true),
      );
      return () => {
        here = false;
      };
    }, []);
    if (failed) return <p class="muted">This part of the page could not be loaded; reload the page.</p>;
    const Component = loaded;
    return Component ? <Component {...props} /> : <Loading what={what} />;
  };
}

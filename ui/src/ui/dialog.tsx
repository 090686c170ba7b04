// A dialog above the page. In: its title, what is in it, and how to close it. What had the keyboard gets it back, and
// that at once: effects that wait for the next paint would take it from wherever the reader has gone since.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { UI_ICONS } from "../graph/icons";
import { IconButton } from "./widgets";

export function Dialog({
  title,
  children,
  close,
}: {
  title: string;
  children: ComponentChildren;
  close?(): void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const it = dialog.current;
    it?.showModal();
    // While it is open nothing else can have the keyboard; closing gives it back.
    return () => it?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onCancel={(e) => {
        e.preventDefault();
        close?.();
      }}
    >
      <div class="dialog-head">
        <h2>{title}</h2>
        {close && <IconButton icon={UI_ICONS.close} label="Close" onClick={close} />}
      </div>
      {children}
    </dialog>
  );
}

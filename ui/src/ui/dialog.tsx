// A dialog above the page. In: its title, what is in it, and how to close it. What had the keyboard gets it back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
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
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => before?.focus();
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

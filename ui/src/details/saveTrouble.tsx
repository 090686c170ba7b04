// What came between a text and its object: somebody else changed it, or it is gone. Out: what to do with the text.
import { useSignal } from "@preact/signals";
import type { ApiError } from "../api/client";
import type { ConfigObject, ObjectRef } from "../api/types";
import { Trouble } from "../ui/widgets";

/** What stands for an object that is not there any more, while there is a text of it: no version, which creates it. */
export function absent(ref: ObjectRef): ConfigObject {
  return {
    ...ref,
    version: "",
    created: 0,
    issues: { errors: 0, warnings: 0 },
    yaml: "",
    resourceVersion: "",
    validation: [],
    editable: true,
    actsOn: [],
  };
}

/** `text` is what was written; `drop` leaves it for good. */
export function GoneNotice({ text, drop }: { text: string; drop(): void }) {
  const said = useSignal("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = "Copied";
    } catch {
      said.value = "This browser does not let the page copy: select the text and copy it by hand";
    }
  };
  return (
    <div class="notice notice-warn" role="alert">
      <div>
        <strong>This object was deleted</strong>
        <p>What you wrote is still here: check it and create the object anew, copy it, or drop it.</p>
        <div class="actions">
          <button type="button" class="button" onClick={copy}>
            Copy the text
          </button>
          <button type="button" class="button" onClick={drop}>
            Drop it
          </button>
          <span role="status" class="muted">
            {said.value}
          </span>
        </div>
      </div>
    </div>
  );
}

interface SaveTroubleProps {
  error: ApiError;
  /** It was only to be checked. */
  isCheck: boolean;
  take(keepMine: boolean): void;
}

export function SaveTrouble({ error, isCheck, take }: SaveTroubleProps) {
  const what = !isCheck ? "Nothing was saved" : error.issues.length > 0 ? "There are errors" : "Not checked";
  if (error.status !== 409) return <Trouble error={error} title={what} />;
  return (
    <div class="notice notice-warn" role="alert">
      <div>
        <strong>Somebody else changed this object</strong>
        <p>
          {error.message}.{!isCheck && " Nothing was saved."}
        </p>
        <div class="actions">
          <button type="button" class="button" onClick={() => take(false)}>
            Show theirs, drop mine
          </button>
          <button type="button" class="button" onClick={() => take(true)}>
            Keep my text on top of theirs
          </button>
        </div>
      </div>
    </div>
  );
}

export const GONE = "It is not in the mesh, and had no traffic in the last hour.";

/** The server knows of nothing with this id. */
export function Gone() {
  return <p class="muted">{GONE}</p>;
}

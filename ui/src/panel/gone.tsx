/** The server knows of nothing with this id any more. */
export function Gone() {
  return <p class="muted">It is not in the mesh any more, and had no traffic in the last hour.</p>;
}

// How wide text is as the canvas draws it: fonts differ by half from one machine to the next. In: text of one line. Out:
// pixels at the size of edges' labels.
import { Lru } from "../model/lru";
import { FONT, LABEL_SIZE } from "./style";

/** Texts that change with the traffic come again. */
const known = new Lru<number>(4000);
let context: CanvasRenderingContext2D | undefined;

export function textWidth(text: string): number {
  const before = known.get(text);
  if (before !== undefined) return before;
  context ??= document.createElement("canvas").getContext("2d")!;
  context.font = `${LABEL_SIZE}px ${FONT}`;
  const { width } = context.measureText(text);
  known.set(text, width);
  return width;
}
